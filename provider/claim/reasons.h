// Why nodes run here or stay outside, in words that name what was found and what would change it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "claim/select.h"
#include "facts/assume.h"

namespace sparsecpu {

// Whether onnxruntime can do without nodes of this graph.
Check check_graph(const Graph& graph);
// Whether a plugin may take the node, whatever it is.
Check check_place(const Graph& graph, const Node& node);
// Of a node that is claimed.
std::string claimed_reason(const NodeCost& cost, bool forced);
// Of a layer that is not.
std::string linear_reason(const NodeCost& cost, std::optional<double> min_sparsity);
// Of another node that is not; group: of every node, -1: on the CPU provider.
std::string neighbour_reason(const Graph& graph, const std::vector<int>& group, size_t node);
// Of a group that is not, for its edges, or for a size of the axes that the model leaves open.
std::string edge_reason(const GroupPrice& price);
std::string size_reason(const OpenSizes& sizes, const GroupPrice& price);

}  // namespace sparsecpu
