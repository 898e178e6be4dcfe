#include "claim/arithmetic.h"

#include <string_view>

namespace sparsecpu {
namespace {

double product(const Shape& shape, size_t first) {
  double count = 1;
  for (size_t axis = first; axis < shape.size(); ++axis) count *= static_cast<double>(shape[axis]);
  return count;
}

}  // namespace

double multiply_adds(const Graph& graph, const std::vector<ValueFacts>& facts, const Node& node) {
  const auto shape_of = [&](int value) -> const Shape* {
    if (value < 0) return nullptr;
    if (graph.values[value].is_constant) return &graph.values[value].constant.dims;
    return facts[value].assumed ? &*facts[value].assumed : nullptr;
  };
  const auto input = [&](size_t i) { return i < node.inputs.size() ? shape_of(node.inputs[i]) : nullptr; };
  const Shape* output = node.outputs.empty() ? nullptr : shape_of(node.outputs[0]);
  if (output == nullptr) return 0;
  const std::string_view type = node.op_type;
  if (type == "Conv" || type == "FusedConv" || type == "ConvInteger" || type == "QLinearConv") {
    const Shape* weight = input(type == "QLinearConv" ? 3 : 1);
    return weight == nullptr ? 0 : product(*output, 0) * product(*weight, 1);
  }
  const bool gemm = type == "Gemm" || type == "FusedGemm" || type == "QGemm";
  const bool matmul = type == "MatMul" || type == "FusedMatMul" || type == "MatMulInteger" || type == "QLinearMatMul";
  if (!gemm && !matmul) return 0;
  const Shape* left = input(0);
  if (left == nullptr || left->empty()) return 0;
  const bool transposed = left->size() > 1 && node.attribute("transA", int64_t{0}) != 0;
  return product(*output, 0) * static_cast<double>(transposed ? (*left)[left->size() - 2] : left->back());
}

}  // namespace sparsecpu
