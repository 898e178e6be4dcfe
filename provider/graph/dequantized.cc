#include "graph/dequantized.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace sparsecpu {
namespace {

template <class T>
std::optional<std::vector<T>> elements_as(const Constant& constant) {
  std::vector<T> stored(constant.bytes / sizeof(T));
  const bool fits = std::all_of(constant.dims.begin(), constant.dims.end(), [](int64_t d) { return d >= 0; }) &&
                    static_cast<size_t>(constant.size()) * sizeof(T) == constant.bytes && constant.data != nullptr;
  if (!fits || stored.empty()) return std::nullopt;
  std::memcpy(stored.data(), constant.data, constant.bytes);
  return stored;
}

template <class T>
std::optional<std::vector<int64_t>> widened(const Constant& constant) {
  const auto stored = elements_as<T>(constant);
  return stored ? std::optional(std::vector<int64_t>(stored->begin(), stored->end())) : std::nullopt;
}

std::optional<std::vector<int64_t>> integers(const Constant& constant) {
  switch (constant.type) {
    case ElementType::kUint8:
      return widened<uint8_t>(constant);
    case ElementType::kInt8:
      return widened<int8_t>(constant);
    case ElementType::kUint16:
      return widened<uint16_t>(constant);
    case ElementType::kInt16:
      return widened<int16_t>(constant);
    case ElementType::kInt32:
      return widened<int32_t>(constant);
    default:
      return std::nullopt;
  }
}

bool is_vector(const std::vector<int64_t>& dims) {
  return std::count_if(dims.begin(), dims.end(), [](int64_t d) { return d != 1; }) <= 1;
}

// float(x - zero point) * scale, as onnxruntime computes it; nothing unless all of it is constant and well-formed.
std::optional<std::vector<float>> dequantized(const Graph& graph, const Node& node) {
  const auto constant = [&](size_t i) -> const Constant* {
    const int index = i < node.inputs.size() ? node.inputs[i] : -1;
    return index >= 0 && graph.values[index].is_constant ? &graph.values[index].constant : nullptr;
  };
  const Constant *x = constant(0), *scale = constant(1), *zero = constant(2);
  const bool has_zero = node.inputs.size() > 2 && node.inputs[2] >= 0;
  if (x == nullptr || scale == nullptr || (has_zero && zero == nullptr)) return std::nullopt;
  if (scale->type != ElementType::kFloat || !is_vector(x->dims)) return std::nullopt;
  const auto values = integers(*x);
  const auto scales = elements_as<float>(*scale);
  const auto zeros = has_zero ? integers(*zero) : std::vector<int64_t>{0};
  if (!values || !scales || !zeros) return std::nullopt;
  // One for all, or a list of one an element: onnxruntime looks whether it lies along the axis that it should.
  const auto fits = [&](size_t count, const Constant* of) {
    return (count == 1 || count == values->size()) && (of == nullptr || of->dims.size() <= 1);
  };
  if (!fits(scales->size(), scale) || !fits(zeros->size(), zero)) return std::nullopt;
  std::vector<float> result;
  for (size_t i = 0; i < values->size(); ++i) {
    const int64_t difference = (*values)[i] - (*zeros)[zeros->size() == 1 ? 0 : i];
    result.push_back(static_cast<float>(difference) * (*scales)[scales->size() == 1 ? 0 : i]);
  }
  return result;
}

}  // namespace

void add_dequantized_constants(Graph* graph) {
  for (const Node& node : graph->nodes) {
    if (node.op != "DequantizeLinear" || !node.domain.empty() || node.outputs.empty()) continue;
    if (node.outputs[0] < 0 || graph->values[node.outputs[0]].type != ElementType::kFloat) continue;
    Value& value = graph->values[node.outputs[0]];
    if (value.consumers.size() != 1 || value.is_graph_output) continue;
    auto floats = dequantized(*graph, node);
    if (!floats) continue;
    value.dims = graph->values[node.inputs[0]].constant.dims;
    value.symbols.assign(value.dims.size(), "");
    value.has_shape = value.is_constant = true;
    value.constant.computed = std::make_shared<const std::vector<float>>(std::move(*floats));
    const std::vector<float>& held = *value.constant.computed;
    value.constant.type = ElementType::kFloat;
    value.constant.dims = value.dims;
    value.constant.data = held.data();
    value.constant.bytes = held.size() * sizeof(float);
  }
}

}  // namespace sparsecpu
