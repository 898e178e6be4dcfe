#include "plugin/ledger.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace sparsecpu {
namespace {

bool is_meant(const Ledger::Entry& entry, const Ledger::FusedNode& node) {
  const OpGraph& ops = entry.region->ops();
  const auto name = [&](int value) -> const std::string& { return ops.values[static_cast<size_t>(value)].name; };
  const auto is_given = [&](int value) { return node.inputs.contains(name(value)); };
  Ledger::Names outputs = node.outputs;
  for (int value : ops.outputs) outputs.erase(name(value));
  return entry.values == node.values && outputs.empty() && std::ranges::all_of(ops.inputs, is_given);
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

Ledger::Entry Ledger::take(const FusedNode& node) {
  const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) { return is_meant(entry, node); });
  if (found == entries_.end()) {
    throw Error("fused node '" + node.name + "': no group that was claimed makes exactly its " +
                std::to_string(node.values.size()) + " values" +
                (node.values.empty() ? "" : ", such as '" + *node.values.begin() + "'") + ", of what it is given");
  }
  Entry entry = std::move(*found);
  entries_.erase(found);
  return entry;
}

}  // namespace sparsecpu
