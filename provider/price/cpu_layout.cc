#include "price/cpu_layout.h"

#include <algorithm>
#include <string_view>

#include "facts/constants.h"
#include "graph/operators.h"
#include "pack/speeds.h"

namespace sparsecpu {
namespace {

enum class CpuLayout { kPlain, kBlocks, kChannelsLast };  // NCHW; NCHWc of floats; NHWC of bytes and next to them

// In a layout of their own if their inputs are not.
bool starts(const Node& node, CpuLayout layout) {
  constexpr std::string_view kConvolutions[] = {"Conv", "com.microsoft.FusedConv", "QLinearConv"};
  constexpr std::string_view kPools[] = {"MaxPool", "AveragePool"};
  return is_any_of(node.op, kConvolutions) || (layout == CpuLayout::kBlocks && is_any_of(node.op, kPools));
}

// In the layout of their inputs.
bool follows(const Node& node, CpuLayout layout) {
  constexpr std::string_view kAlways[] = {"Add",
                                          "Sum",
                                          "Mul",
                                          "Concat",
                                          "Relu",
                                          "Clip",
                                          "LeakyRelu",
                                          "Sigmoid",
                                          "Tanh",
                                          "HardSigmoid",
                                          "Gelu",
                                          "com.microsoft.Gelu",
                                          "BatchNormalization",
                                          "GlobalAveragePool",
                                          "MaxPool",
                                          "AveragePool",
                                          "Resize"};
  constexpr std::string_view kChannelsLast[] = {"QuantizeLinear",
                                                "DequantizeLinear",
                                                "com.microsoft.QLinearAdd",
                                                "com.microsoft.QLinearMul",
                                                "com.microsoft.QLinearConcat",
                                                "com.microsoft.QLinearAveragePool",
                                                "com.microsoft.QLinearGlobalAveragePool",
                                                "com.microsoft.QLinearSigmoid",
                                                "com.microsoft.QLinearLeakyRelu",
                                                "com.microsoft.QLinearSoftmax",
                                                "Softmax",
                                                "PRelu",
                                                "Elu",
                                                "Pad",
                                                "Slice",
                                                "Split",
                                                "Sub",
                                                "Div"};
  return is_any_of(node.op, kAlways) || (layout == CpuLayout::kChannelsLast && is_any_of(node.op, kChannelsLast));
}

int first_input(const Graph& graph, const Node& node) {
  for (int input : node.inputs) {
    if (input >= 0 && !graph.values[input].is_constant) return input;
  }
  return -1;
}

double count_elements(const Table<ValueFacts>& facts, int value) {
  if (value < 0 || !facts[value].assumed) return 0;
  return static_cast<double>(std::max<int64_t>(0, element_count(*facts[value].assumed)));
}

// Plain against channels last or in blocks, for each value that it makes.
double loss_ns(const Node& node, CpuLayout layout) {
  if (node.op == "Resize") return node.attribute("mode", "nearest") == "linear" ? kPlainResizeNs : 0;
  if (layout != CpuLayout::kChannelsLast) return 0;
  if (node.op == "Softmax" || node.op == "com.microsoft.QLinearSoftmax") return kPlainSoftmaxNs;
  const bool largest = node.op == "MaxPool";
  if (!largest && node.op != "AveragePool" && node.op != "com.microsoft.QLinearAveragePool") return 0;
  double taps = 1;
  for (int64_t k : node.attribute("kernel_shape", std::vector<int64_t>{})) taps *= static_cast<double>(k);
  return largest ? kPlainMaxNs + taps * kPlainMaxTapNs : taps * kPlainAverageTapNs;
}

}  // namespace

CpuLayouts cpu_layouts(const Graph& graph, const Table<ValueFacts>& facts) {
  std::vector<CpuLayout> layout(graph.values.size(), CpuLayout::kPlain);
  CpuLayouts result{std::vector<bool>(graph.values.size()), std::vector<bool>(graph.values.size()),
                    std::vector<LayoutLoss>(graph.nodes.size())};
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const int input = first_input(graph, node);
    const int output = node.outputs.empty() ? -1 : node.outputs[0];
    if (input < 0 || output < 0 || !facts[input].assumed || facts[input].assumed->size() < 3) continue;
    const CpuLayout own = is_byte(graph.values[output].type) ? CpuLayout::kChannelsLast : CpuLayout::kBlocks;
    const CpuLayout given = layout[input];
    if (given != CpuLayout::kPlain && follows(node, given)) {
      layout[output] = given;
      result.losses[i] = {graph.values[input].producer, 1e-3 * loss_ns(node, given) * count_elements(facts, output)};
    } else if (starts(node, own)) {
      layout[output] = own;
    }
    result.made[output] = layout[output] != CpuLayout::kPlain;
    result.read[input] = result.read[input] || starts(node, own);
  }
  return result;
}

}  // namespace sparsecpu
