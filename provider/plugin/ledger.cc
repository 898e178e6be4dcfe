#include "plugin/ledger.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace sparsecpu {
namespace {

bool gives(const Region& region, Ledger::Names outputs) {
  for (int value : region.ops().outputs) outputs.erase(region.ops().values[static_cast<size_t>(value)].name);
  return outputs.empty();
}

}  // namespace

LoweredClaim claim_lowered(const Graph& graph, const ClaimOptions& options) {
  Refusals refused;
  int64_t packed = 0;
  LayerPacks kept;  // of the last round, for the next one
  // Every round refuses a node that was claimed, so there is a last one; nearly always it is the first.
  for (;;) {
    ClaimResult result = claim(graph, options, refused);
    Lowering lowering = Region::lower(std::exchange(result.ops, {}), {options.isa, options.jit});
    packed += lowering.packed;
    kept = std::move(lowering.packs);
    if (lowering.refusals.empty()) return {std::move(result), std::move(lowering.regions), packed};
    for (const Lowering::Refusal& refusal : lowering.refusals) {
      const std::vector<int> alone{refusal.node};
      for (int node : refusal.node >= 0 ? alone : result.regions[refusal.region]) {
        refused.emplace(node, refusal.reason);
      }
    }
  }
}

void Ledger::erase_if(const std::function<bool(size_t number)>& gone) {
  std::erase_if(entries_, [&](const Entry& entry) { return gone(entry.number); });
}

Ledger::Entry Ledger::take(const Names& values, const Names& outputs, const std::string& fused_node) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.values == values && gives(*entry.region, outputs);
  });
  if (found == entries_.end()) {
    throw Error("fused node '" + fused_node + "': no group that was claimed makes exactly its " +
                std::to_string(values.size()) + " values" +
                (values.empty() ? "" : ", such as '" + *values.begin() + "'"));
  }
  Entry entry = std::move(*found);
  entries_.erase(found);
  return entry;
}

}  // namespace sparsecpu
