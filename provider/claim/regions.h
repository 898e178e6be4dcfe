// Groups of nodes that ONNX Runtime may fuse: each convex, and the graph with all groups contracted acyclic.
#pragma once
#include <vector>

#include "graph/graph.h"

namespace sparsecpu {

// Direct successors of every node, subgraph (implicit) uses included, without repetitions.
std::vector<std::vector<int>> successors(const Graph& graph);

// Whether contracting every group to one node leaves the graph acyclic. group[i] < 0: node i is in no group.
// This implies that each group is convex.
bool contraction_is_acyclic(const std::vector<std::vector<int>>& successors, const std::vector<int>& group);

// Splits the nodes with claimed[i] into groups: connected ones together (by an edge, or by an input that
// they share) as far as the contraction stays acyclic. Nodes with different `side` never share a group.
// Returns a group per node, -1 where not claimed; groups are numbered by their first node.
std::vector<int> form_groups(const Graph& graph, const std::vector<bool>& claimed, const std::vector<int>& side);

}  // namespace sparsecpu
