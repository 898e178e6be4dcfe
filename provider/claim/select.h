// Chooses the nodes that run here so that the predicted time of the whole graph is least: a minimum cut
// between "here" and "on the CPU provider", where cut edges are conversions and lost fusions.
#pragma once
#include <vector>

#include "graph/graph.h"
#include "price/cost.h"

namespace sparsecpu {

struct Pricing {
  const Graph& graph;
  std::vector<NodeCost> nodes;   // one per node; only those of candidates matter
  std::vector<EdgeCost> values;  // one per value
  std::vector<bool> candidate;   // may run here
  std::vector<bool> forced;      // has to run here
  std::vector<int> goes_with;    // runs here only if this node does, -1: whatever the others do
};

// The best choice among nodes with allowed[i]. A value between two allowed nodes of different groups is
// converted twice, as one between here and the CPU provider.
std::vector<bool> select_nodes(const Pricing& pricing, const std::vector<bool>& allowed, const std::vector<int>& group);

// What one group saves, in microseconds, with every other node on the CPU provider.
struct GroupPrice {
  double cpu_us = 0, here_us = 0;
  double edges_us = 0;  // conversions, lost fusions, the fused node itself; not part of here_us
  double gain_us() const { return cpu_us - here_us - edges_us; }
};
// One per group, 0 .. max(group).
std::vector<GroupPrice> price_groups(const Pricing& pricing, const std::vector<int>& group);

}  // namespace sparsecpu
