#include "price/arithmetic.h"

#include <array>
#include <string_view>

#include "graph/operators.h"

namespace sparsecpu {
namespace {

double product(const Shape& shape, size_t first = 0) {
  double count = 1;
  for (size_t axis = first; axis < shape.size(); ++axis) count *= static_cast<double>(shape[axis]);
  return count;
}

double last(const Shape& shape) { return shape.empty() ? 0 : static_cast<double>(shape.back()); }

constexpr std::array<std::string_view, 4> kConvolutions{"Conv", "com.microsoft.FusedConv", "ConvInteger",
                                                        "QLinearConv"};
constexpr std::array<std::string_view, 4> kRecurrent{"LSTM", "GRU", "RNN", "com.microsoft.DynamicQuantizeLSTM"};
constexpr std::array<std::string_view, 9> kProducts{"Gemm",
                                                    "com.microsoft.FusedGemm",
                                                    "com.microsoft.QGemm",
                                                    "MatMul",
                                                    "com.microsoft.FusedMatMul",
                                                    "MatMulInteger",
                                                    "QLinearMatMul",
                                                    "com.microsoft.DynamicQuantizeMatMul",
                                                    "com.microsoft.MatMulIntegerToFloat"};

}  // namespace

double multiply_adds(const Graph& graph, const Table<ValueFacts>& facts, const Node& node) {
  static const Shape kUnknown;
  const auto shape_of = [&](int value) -> const Shape& {
    if (value < 0) return kUnknown;
    if (graph.values[value].is_constant) return graph.values[value].constant.dims;
    return facts[value].assumed ? *facts[value].assumed : kUnknown;
  };
  const auto input = [&](size_t i) -> const Shape& {
    return i < node.inputs.size() ? shape_of(node.inputs[i]) : kUnknown;
  };
  const Shape& output = node.outputs.empty() ? kUnknown : shape_of(node.outputs[0]);
  const Shape &x = input(0), &weight = input(1);
  const std::string_view op = node.op;
  if (is_any_of(op, kRecurrent)) {  // x [sequence, batch, input] or [batch, sequence, input]; W and R of each gate
    return x.size() != 3 || weight.empty() || input(2).empty()
               ? 0
               : static_cast<double>(x[0]) * static_cast<double>(x[1]) * (product(weight) + product(input(2)));
  }
  if (op == "ConvTranspose") return x.empty() || weight.empty() ? 0 : product(x) * product(weight, 1);
  if (output.empty()) return 0;
  if (is_any_of(op, kConvolutions)) {
    const Shape& kernel = op == "QLinearConv" ? input(3) : weight;
    return kernel.empty() ? 0 : product(output) * product(kernel, 1);
  }
  if (op == "com.microsoft.MatMulNBits") return product(output) * last(x);
  if (!is_any_of(op, kProducts) || x.empty()) return 0;
  const bool transposed = x.size() > 1 && node.attribute("transA", int64_t{0}) != 0;
  return product(output) * (transposed ? static_cast<double>(x[x.size() - 2]) : last(x));
}

}  // namespace sparsecpu
