// What onnxruntime makes of a node hangs on the nodes around it, those that run here not counted: between
// DequantizeLinear and QuantizeLinear, a Relu or Clip before the latter included, it makes an operator on bytes of it
// (selectors in onnxruntime/core/optimizer/qdq_transformer), of a product also where no QuantizeLinear follows, but not
// where one Relu or Clip does. So some nodes run here only with their neighbour: without them it would be slower, or
// round otherwise, or fail.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"

namespace sparsecpu {

// The node before a QuantizeLinear, Relu or Clip that runs here only if that one does, -1: none.
int goes_with(const Graph& graph, const Node& node);
// Whether a node that could run here need not stay with a neighbour that cannot: the one it goes with, or of a
// DequantizeLinear a product, or what the CPU provider computes in integers. candidate: by node.
Check check_separable(const Graph& graph, const std::vector<bool>& candidate, const Node& node);
std::string left_behind_reason(const Graph& graph, const Node& neighbour);

// The product of bytes whose only reader is this Relu or Clip, -1: none. If that has several readers, they must not
// become one node.
int product_limited_by(const Graph& graph, const Node& node);

}  // namespace sparsecpu
