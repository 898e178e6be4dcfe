#include "lower/sums.h"

#include <algorithm>

#include "lower/arithmetic.h"

namespace sparsecpu {
namespace {

const Op& op_of(const OpGraph& graph, int index) { return graph.ops[static_cast<size_t>(index)]; }

// Where among the stage's Ops the sum stands.
std::vector<int>::const_iterator sum_of(const OpGraph& graph, const Stage& stage) {
  return std::find_if(stage.op_indices.begin(), stage.op_indices.end(), [&](int index) {
    const Op& op = op_of(graph, index);
    return op.operands() == 2 && std::find(op.inputs.begin(), op.inputs.end(), stage.residual) != op.inputs.end();
  });
}

int product_of(const OpGraph& graph, const Stage& stage) {
  const std::vector<int>& inputs = op_of(graph, *sum_of(graph, stage)).inputs;
  return inputs[inputs[0] == stage.residual ? 1 : 0];
}

// Shapes of all values where every axis of every input but one, counted from the front, has a size of its own; none if
// an Op cannot take them.
std::optional<std::vector<Shape>> probed(const OpGraph& graph, const std::vector<int>& ops, size_t kept, int64_t step) {
  std::vector<Shape> inputs;
  int64_t size = 64;
  for (int input : graph.inputs) {
    const OpValue& value = graph.values[static_cast<size_t>(input)];
    if (!value.has_shape) return {};
    Shape& shape = inputs.emplace_back(value.dims);
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      if (axis != std::min(kept, shape.size() - 1)) shape[axis] = size += step;
      if (shape[axis] < 0) return {};
    }
  }
  try {
    return value_shapes(graph, ops, inputs);
  } catch (const Error&) {
    return {};
  }
}

Stage layer_alone(const OpGraph& graph, const Stage& stage) {
  Stage layer = stage;
  layer.op.output = product_of(graph, stage);
  layer.residual = -1;
  layer.clamp = kNoClamp;
  layer.post.reset();
  layer.sum.reset();
  layer.table.reset();
  layer.op_indices.assign(stage.op_indices.begin(), sum_of(graph, stage));
  return layer;
}

Stage sum_alone(const OpGraph& graph, const Stage& stage) {
  Stage sum;
  sum.op = op_of(graph, *sum_of(graph, stage));
  sum.op.output = stage.op.output;
  sum.clamp = kNoClamp;
  sum.table = stage.table;
  if (stage.post) sum.then.push_back(*stage.post);
  if (const auto limits = as_unary(stage.clamp)) sum.then.push_back(*limits);
  sum.op_indices.assign(sum_of(graph, stage), stage.op_indices.end());
  return sum;
}

}  // namespace

std::vector<bool> certain_sums(const OpGraph& graph, const std::vector<Stage>& stages) {
  const std::vector<int> ops = ops_of(stages, 0, stages.size());
  constexpr size_t kImageChannels = 1, kTokenChannels = 8;  // the last axis
  std::vector<std::vector<Shape>> probes;
  for (size_t kept : {kImageChannels, kTokenChannels}) {
    const auto first = probed(graph, ops, kept, 7), second = probed(graph, ops, kept, 16);
    if (first && second && probes.empty()) probes = {*first, *second};
  }
  std::vector<bool> certain;
  for (const Stage& stage : stages) {
    certain.push_back(stage.residual < 0 || !probes.empty());
    if (stage.residual < 0) continue;
    const auto product = static_cast<size_t>(product_of(graph, stage)), residual = static_cast<size_t>(stage.residual);
    for (const std::vector<Shape>& shapes : probes) {
      if (shapes[product] != shapes[residual]) certain.back() = false;
    }
  }
  return certain;
}

bool products_are_whole(const OpGraph& graph, const std::vector<Stage>& stages, const std::vector<Shape>& shapes) {
  return std::all_of(stages.begin(), stages.end(), [&](const Stage& stage) {
    return stage.residual < 0 ||
           shapes[static_cast<size_t>(product_of(graph, stage))] == shapes[static_cast<size_t>(stage.op.output)];
  });
}

std::vector<Stage> with_sums_apart(const OpGraph& graph, const std::vector<Stage>& stages) {
  std::vector<Stage> apart;
  for (const Stage& stage : stages) {
    const bool splits = stage.residual >= 0;
    apart.push_back(splits ? layer_alone(graph, stage) : stage);
    if (splits) apart.push_back(sum_alone(graph, stage));
  }
  return apart;
}

}  // namespace sparsecpu
