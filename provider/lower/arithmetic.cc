#include "lower/arithmetic.h"

#include "base/memory.h"
#include "lower/stage.h"

namespace sparsecpu {
namespace {

double count(const Shape& shape) {
  double product = 1;
  for (int64_t size : shape) product *= static_cast<double>(size);
  return product;
}

double multiply_adds(const Op& op, const std::vector<Shape>& shapes) {
  const auto shape = [&](int value) -> const Shape& { return shapes[static_cast<size_t>(value)]; };
  if (const std::optional<LinearShape> linear = op.layer()) {
    const int64_t products = linear->in_channels / linear->groups * linear->taps;  // of one output
    return count(shape(op.output)) * static_cast<double>(products);
  }
  if (attention_of(op.data) == nullptr) return 0;
  const auto keys = static_cast<double>(shape(op.inputs[1])[1]);  // [batch, keys, channels]
  return keys * (count(shape(op.inputs[0])) + count(shape(op.output)));
}

}  // namespace

int64_t elements_of(std::span<const int64_t> sizes) {
  int64_t count = 1;
  for (int64_t size : sizes) count = checked_mul(count, size);
  return count;
}

std::vector<Shape> value_shapes(const OpGraph& graph, const std::vector<int>& ops,
                                const std::vector<Shape>& input_shapes) {
  std::vector<Shape> shapes(graph.values.size());
  for (size_t v = 0; v < shapes.size(); ++v) {
    if (!graph.values[v].constant.empty()) shapes[v] = graph.values[v].dims;
  }
  for (size_t i = 0; i < input_shapes.size(); ++i) shapes[static_cast<size_t>(graph.inputs[i])] = input_shapes[i];
  for (int index : ops) {
    const Op& op = graph.ops[static_cast<size_t>(index)];
    std::vector<Shape> operands;
    for (int input : op.inputs) operands.push_back(shapes[static_cast<size_t>(input)]);
    shapes[static_cast<size_t>(op.output)] = output_shape(op, operands);
  }
  return shapes;
}

std::vector<double> multiply_adds(const OpGraph& graph, const std::vector<Shape>& shapes) {
  std::vector<double> result;
  for (const Op& op : graph.ops) result.push_back(multiply_adds(op, shapes));
  return result;
}

}  // namespace sparsecpu
