#include "price/cpu_layout.h"

#include <algorithm>
#include <string>

#include "facts/constants.h"
#include "pack/speeds.h"

namespace sparsecpu {
namespace {

enum class CpuLayout { kPlain, kBlocks, kChannelsLast };  // NCHW; NCHWc of floats; NHWC of bytes and next to them

using Names = std::initializer_list<const char*>;
bool is_one_of(const Node& node, Names names) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return node.op_type == name; });
}

// In a layout of their own if their inputs are not.
bool starts(const Node& node, CpuLayout layout) {
  if (is_one_of(node, {"Conv", "FusedConv", "QLinearConv"})) return true;
  return layout == CpuLayout::kBlocks && is_one_of(node, {"MaxPool", "AveragePool"});
}

// In the layout of their inputs.
bool follows(const Node& node, CpuLayout layout) {
  if (is_one_of(node, {"Add", "Sum", "Mul", "Concat", "Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid",
                       "Gelu", "BatchNormalization", "GlobalAveragePool", "MaxPool", "AveragePool", "Resize"}))
    return true;
  return layout == CpuLayout::kChannelsLast &&
         is_one_of(node, {"QuantizeLinear", "DequantizeLinear", "QLinearAdd", "QLinearMul", "QLinearConcat",
                          "QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearSigmoid", "QLinearLeakyRelu",
                          "QLinearSoftmax", "Softmax", "PRelu", "Elu", "Pad", "Slice", "Split", "Sub", "Div"});
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
  if (node.op_type == "Resize") return node.attribute("mode", "nearest") == "linear" ? kPlainResizeNs : 0;
  if (layout != CpuLayout::kChannelsLast) return 0;
  if (is_one_of(node, {"Softmax", "QLinearSoftmax"})) return kPlainSoftmaxNs;
  const bool largest = node.op_type == "MaxPool";
  if (!largest && !is_one_of(node, {"AveragePool", "QLinearAveragePool"})) return 0;
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
