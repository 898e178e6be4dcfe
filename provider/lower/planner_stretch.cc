// What follows a quantized layer in floats, up to the next quantization, as a part of the layer's step: the bytes of a
// tile are read again while they are in the cache, and one step takes the place of up to five.
#include <utility>

#include "lower/planner.h"

namespace sparsecpu {
namespace {

std::vector<float> widened(const std::vector<float>& values, int64_t channels) {
  return values.size() == 1 ? std::vector<float>(static_cast<size_t>(channels), values[0]) : values;
}

}  // namespace

// The stage that alone reads a value of the tokens in lanes, or null.
const Stage* Planner::sole_reader(int value) const {
  const Placed& v = at(value);
  const bool tokens = v.lanes && v.axes == Axes::kTokens;
  if (!tokens || v.uses != 1 || v.region_output != kNone || v.last_use < 0) return nullptr;
  return &stages_[static_cast<size_t>(v.last_use)];
}

bool Planner::is_ready(int value) const { return at(value).dense_buffer != kNone || !at(value).versions.empty(); }

// Takes `next`, which reads `value`, into the stretch, if it can be its next operation.
bool Planner::extend(Stretch& stretch, const Stage& next, int value) const {
  FloatStretch& numbers = stretch.tail.stretch;
  const Placed& out = at(next.op.output);
  const bool starts = stretch.stages.empty();
  const bool in_lanes = out.lanes && out.axes == Axes::kTokens && out.shape == at(value).shape;
  if (!in_lanes || numbers.quantizes || starts != std::holds_alternative<Dequantize>(next.op.data)) return false;
  const auto activate = [&](const Unary& unary) {
    numbers.activates = true;
    numbers.kind = unary.kind;
    numbers.a = unary.a;
    numbers.b = unary.b;
  };
  if (const auto* dequantize = std::get_if<Dequantize>(&next.op.data)) {
    numbers.x = parameters_of(dequantize->x);
  } else if (const auto* quantize = std::get_if<Quantize>(&next.op.data)) {
    numbers.quantizes = true;
    numbers.y = parameters_of(quantize->y);
  } else if (numbers.activates) {
    return false;
  } else if (const auto* unary = std::get_if<Unary>(&next.op.data)) {
    activate(*unary);
  } else if (const auto* affine = std::get_if<Affine>(&next.op.data)) {
    if (!stretch.tail.scale.empty() || stretch.residual >= 0) return false;
    stretch.tail.scale = widened(affine->scale, out.shape.back());
    stretch.tail.shift = widened(affine->shift, out.shape.back());
  } else if (const auto* binary = std::get_if<Binary>(&next.op.data)) {
    const int other = next.op.inputs[next.op.inputs[0] == value ? 1 : 0];
    const bool adds = binary->kind == BinaryKind::kAdd && at(other).shape == out.shape && is_ready(other);
    if (!adds || stretch.residual >= 0) return false;
    stretch.residual = other;
    if (next.post) activate(*next.post);
  } else {
    return false;
  }
  return true;
}

Planner::Stretch Planner::stretch_after(const Stage& stage) const {
  Stretch stretch;
  const auto* linear = std::get_if<QuantizedLinear>(&stage.op.data);
  const bool bytes = linear != nullptr && linear->output == QuantizedLinear::Output::kBytes;
  if (!bytes || stage.residual >= 0 || stage.sum) return stretch;
  int value = stage.op.output;
  for (const Stage* next = sole_reader(value); next != nullptr && extend(stretch, *next, value);) {
    stretch.stages.push_back(static_cast<size_t>(next - stages_.data()));
    value = next->op.output;
    next = sole_reader(value);
  }
  return stretch;
}

// The layer's bytes become scratch; the stretch's result is what the last of its stages computes.
void Planner::place_stretch(const Stage& stage, LinearOperands* operands) {
  Stretch stretch = stretch_after(stage);
  if (stretch.stages.empty()) return place_output(stage, operands);
  const int out = stages_[stretch.stages.back()].op.output;
  operands->y = new_tensor(home_geometry(stage.op.output), vectors_of(stage.op.output, Axes::kTokens));
  operands->more_buffers = {};
  if (stretch.residual >= 0) {
    const LaneTensor residual = lanes_of(stretch.residual, at(out).blocks, Axes::kTokens);
    stretch.tail.residual = walk_pixels(residual);
    operands->more_buffers.push_back(residual.ref.buffer);
  }
  const LaneTensor y = new_lanes(out);
  stretch.tail.y = walk_pixels(y);
  operands->more_buffers.push_back(y.ref.buffer);
  operands->tail = std::move(stretch.tail);
  for (size_t done : stretch.stages) emitted_[done] = true;
}

}  // namespace sparsecpu
