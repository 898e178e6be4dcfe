#include "lower/stretch.h"

#include <utility>

#include "lower/parameters.h"

namespace sparsecpu {
namespace {

std::vector<float> widened(const std::vector<float>& values, int64_t channels) {
  return values.size() == 1 ? std::vector<float>(static_cast<size_t>(channels), values[0]) : values;
}

class Finder {
 public:
  Finder(const OpGraph& graph, const std::vector<Stage>& stages, const Part& part, const Placement& placement)
      : stages_(stages), placement_(placement), is_made_(graph.values.size()) {
    for (size_t v = 0; v < graph.values.size(); ++v) is_made_[v] = !graph.values[v].constant.empty();
    for (int input : part.inputs) is_made_[static_cast<size_t>(input)] = true;
  }

  // What is made is known when stages come in order.
  Stretch after(size_t index) {
    const Stage& stage = stages_[index];
    Stretch stretch;
    const auto* linear = std::get_if<QuantizedLinear>(&stage.op.data);
    const bool bytes = linear != nullptr && linear->output == QuantizedLinear::Output::kBytes;
    int value = stage.op.output;
    if (bytes && stage.residual < 0 && !stage.sum) {
      for (int next = sole_reader(value); next >= 0 && extend(stretch, next, value); next = sole_reader(value)) {
        stretch.stages.push_back(static_cast<size_t>(next));
        value = stages_[static_cast<size_t>(next)].op.output;
      }
    }
    is_made_[static_cast<size_t>(value)] = true;
    stretch.output = value;
    return stretch;
  }

 private:
  // The stage that alone reads a value of the tokens in lanes, or kNone.
  int sole_reader(int value) const {
    const Placed& v = placement_.at(value);
    const bool tokens = v.lanes && v.axes == Axes::kTokens;
    return tokens && v.uses == 1 && v.region_output == kNone ? v.last_use : kNone;
  }

  bool extend(Stretch& stretch, int stage, int value) const;
  static bool activate(const Unary& unary, FloatStretch* numbers) {
    numbers->activates = true;
    numbers->kind = unary.kind;
    numbers->a = unary.a;
    numbers->b = unary.b;
    return true;
  }

  const std::vector<Stage>& stages_;
  const Placement& placement_;
  std::vector<bool> is_made_;  // values: there before the stage that is looked at
};

// Takes the stage, which reads `value`, into the stretch, if it can be its next operation.
bool Finder::extend(Stretch& stretch, int stage, int value) const {
  const Stage& next = stages_[static_cast<size_t>(stage)];
  FloatStretch& numbers = stretch.tail.stretch;
  const Placed& out = placement_.at(next.op.output);
  const bool starts = stretch.stages.empty();
  const bool in_lanes = out.lanes && out.axes == Axes::kTokens && out.shape == placement_.shape(value);
  if (!in_lanes || numbers.quantizes || starts != std::holds_alternative<Dequantize>(next.op.data)) return false;
  if (const auto* dequantize = std::get_if<Dequantize>(&next.op.data)) {
    numbers.x = parameters_of(dequantize->x);
    return true;
  }
  if (const auto* quantize = std::get_if<Quantize>(&next.op.data)) {
    numbers.quantizes = true;
    numbers.y = parameters_of(quantize->y);
    return true;
  }
  if (numbers.activates) return false;
  if (const auto* unary = std::get_if<Unary>(&next.op.data)) return activate(*unary, &numbers);
  if (const auto* affine = std::get_if<Affine>(&next.op.data)) {
    if (!stretch.tail.scale.empty() || stretch.residual >= 0) return false;
    stretch.tail.scale = widened(affine->scale, out.shape.back());
    stretch.tail.shift = widened(affine->shift, out.shape.back());
    return true;
  }
  if (const auto* binary = std::get_if<Binary>(&next.op.data)) {
    const int other = next.op.inputs[next.op.inputs[0] == value ? 1 : 0];
    const bool there = is_made_[static_cast<size_t>(other)];
    const bool adds = binary->kind == BinaryKind::kAdd && placement_.shape(other) == out.shape && there;
    if (!adds || stretch.residual >= 0) return false;
    stretch.residual = other;
    if (next.post) activate(*next.post, &numbers);
    return true;
  }
  return false;
}

}  // namespace

Stretches::Stretches(const OpGraph& graph, const std::vector<Stage>& stages, const Part& part,
                     const Placement& placement)
    : after_(stages.size()), computed_(stages.size()) {
  Finder finder(graph, stages, part, placement);
  for (size_t s = part.begin; s < part.end; ++s) {
    if (computed_[s]) continue;
    after_[s] = finder.after(s);
    for (size_t stage : after_[s].stages) computed_[stage] = true;
  }
}

}  // namespace sparsecpu
