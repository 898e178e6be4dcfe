#include "claim/claim.h"

#include <algorithm>

#include "claim/recognise.h"
#include "claim/regions.h"

namespace sparsecpu {
namespace {

double zeros(const WeightView& w) {
  int64_t zero = 0;
  for (int64_t r = 0; r < w.rows; ++r)
    for (int64_t c = 0; c < w.channels; ++c)
      for (int64_t t = 0; t < w.taps; ++t) zero += w.at(r, c, t) == 0.0f;
  return static_cast<double>(zero) / static_cast<double>(w.rows * w.channels * w.taps);
}

}  // namespace

ClaimResult claim(const Graph& graph, const ClaimOptions& options) {
  const RecognisedGraph recognised = recognise_graph(graph, options, false);
  ClaimResult result;
  result.assumed = recognised.assumed;
  const size_t count = graph.nodes.size();
  result.decisions.resize(count);
  std::vector<bool> candidate(count, false), seed(count, false);
  for (size_t i = 0; i < count; ++i) {
    const Recognised& node = recognised.nodes[i];
    NodeDecision& decision = result.decisions[i];
    decision.pattern = node.pattern;
    decision.reason = node.reason;
    bool subgraph = graph.nodes[i].has_subgraph || graph.nodes[i].assigned_elsewhere;
    for (int output : graph.nodes[i].outputs) {
      if (output < 0) continue;
      for (int consumer : graph.values[output].consumers) subgraph |= graph.nodes[consumer].has_subgraph;
    }
    candidate[i] = node.ok() && !subgraph;
    if (!candidate[i]) continue;
    if (const auto* linear = std::get_if<Linear>(&node.ops[0].data)) {
      decision.sparsity = zeros(linear->weight);
      seed[i] = decision.sparsity >= options.min_sparsity.value_or(0.5);
      candidate[i] = options.neighbours || seed[i];
    } else {
      candidate[i] = options.neighbours;
    }
  }
  std::vector<int> side(count, 0);
  if (!options.neighbours)
    for (size_t i = 0; i < count; ++i) side[i] = static_cast<int>(i);
  std::vector<int> group = form_groups(graph, candidate, side);
  std::vector<bool> seeded(count, false);
  for (size_t i = 0; i < count; ++i)
    if (group[i] >= 0 && seed[i]) seeded[group[i]] = true;
  std::vector<int> number(count, -1);
  for (size_t i = 0; i < count; ++i) {
    if (group[i] < 0 || !seeded[group[i]]) continue;
    int& region = number[group[i]];
    if (region < 0) {
      region = static_cast<int>(result.regions.size());
      result.regions.emplace_back();
    }
    result.regions[region].push_back(static_cast<int>(i));
    result.decisions[i].region = region;
  }
  return result;
}

}  // namespace sparsecpu
