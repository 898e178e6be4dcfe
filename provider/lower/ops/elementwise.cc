#include "lower/ops/elementwise.h"

#include "lower/arithmetic.h"
#include "lower/operands.h"
#include "lower/parameters.h"
#include "run/pointwise_steps.h"

namespace sparsecpu {
namespace {

// Adds an Op's function, or one behind it, to a step. `x` is where the step's input lies; a function with one number a
// channel needs so many.
template <class Step, class Place>
struct Append {
  Step& step;
  Place x;
  int64_t channels;

  void operator()(const Unary& unary) const { step.functions.push_back(activation_of(unary)); }
  void operator()(const Affine& affine) const {
    step.functions.push_back(ScaleAndShift{widened(affine.scale), widened(affine.shift)});
  }
  void operator()(const PRelu& prelu) const {
    // Its channels ask for lanes.
    if constexpr (std::is_same_v<Step, LaneElementwiseStep>) step.functions.push_back(Slopes{prelu.slope});
  }
  void operator()(const WithInput& with) const {
    step.functions.push_back(WithOperand<Place>{with.kind, x, with.input_first});
  }

 private:
  std::vector<float> widened(const std::vector<float>& v) const {
    return v.size() == 1 ? std::vector<float>(static_cast<size_t>(channels), v[0]) : v;
  }
};

// On lanes: what `first` appends, then the functions behind it.
template <class First>
void emit_lanes(const Stage& stage, const Operand& x, int other_buffer, Planner& p, First first) {
  const LaneTensor y = p.layouts.new_lanes(stage.op.output);
  auto& step =
      p.emission.add_positions(std::make_unique<LaneElementwiseStep>(), stage.op.kernel(), x.tensor, y, other_buffer);
  step.x = x.walk;
  const Append<LaneElementwiseStep, Walk> append{step, step.x, y.vectors};
  first(append);
  for (const Follower& function : stage.then) std::visit(append, function);
}

// On row-major tensors; `second` may be x.
template <class First>
void emit_flat(const Stage& stage, TensorRef x, TensorRef second, Planner& p, First first) {
  auto made = std::make_unique<FlatStep>();
  made->kernels = &p.emission.kernels();
  made->count = elements_of(p.placement.at(stage.op.output).shape);
  made->x = x;
  made->y = p.layouts.new_dense(stage.op.output);
  const Append<FlatStep, TensorRef> append{*made, x, 1};
  first(append);
  for (const Follower& function : stage.then) std::visit(append, function);
  const int y = made->y.buffer;
  FlatStep& step = p.emission.add(std::move(made), stage.op.kernel(), {x.buffer, second.buffer, y});
  step.chunks = p.emission.workers().chunks_for(step.count / kLanes + 1, kLanes);
}

// Lanes of a value as those of the output.
Operand like_output(const Stage& stage, Planner& p) {
  const Placed& out = p.placement.at(stage.op.output);
  const LaneTensor x = p.layouts.lanes_of(stage.op.inputs[0], out.blocks, out.axes);
  return {x, walk_pixels(x)};
}

// Numbers for the channels ask for lanes; where nothing does, the output lies as the input.
void form_of_one(const Stage& stage, Placement& placement) {
  Placed& out = placement.at(stage.op.output);
  if (const std::optional<Axes> axes = stage.channel_axes()) return out.place_lanes(*axes);
  out.place_as(placement.at(stage.op.inputs[0]));
}

template <class Function>
void emit_of_one(const Function& function, const Stage& stage, Planner& p) {
  const auto first = [&](const auto& append) { append(function); };
  if (p.placement.at(stage.op.output).lanes) return emit_lanes(stage, like_output(stage, p), kNone, p, first);
  const TensorRef x = p.layouts.dense_of(stage.op.inputs[0]);
  emit_flat(stage, x, x, p, first);
}

}  // namespace

void form(const Unary&, const Stage& stage, Placement& placement) { form_of_one(stage, placement); }
void emit(const Unary& unary, const Stage& stage, Planner& p) { emit_of_one(unary, stage, p); }

void form(const Affine&, const Stage& stage, Placement& placement) { form_of_one(stage, placement); }
void emit(const Affine& affine, const Stage& stage, Planner& p) { emit_of_one(affine, stage, p); }

void form(const PRelu& prelu, const Stage& stage, Placement& placement) {
  placement.at(stage.op.output).place_lanes(prelu.axes);
}

void emit(const PRelu& prelu, const Stage& stage, Planner& p) {
  emit_lanes(stage, like_output(stage, p), kNone, p, [&](const auto& append) { append(prelu); });
}

void form_of_two(const Stage& stage, Placement& placement) {
  const Placed &a = placement.at(stage.op.inputs[0]), &b = placement.at(stage.op.inputs[1]);
  Placed& out = placement.at(stage.op.output);
  const Placed* home = a.lanes && a.shape == out.shape ? &a : b.lanes && b.shape == out.shape ? &b : nullptr;
  if (home != nullptr) {
    out.place_as(*home);
  } else if (is_one_a_channel(a.shape, b.shape) || is_one_a_channel(b.shape, a.shape)) {
    out.place_lanes(Axes::kImage);
  }
}

void form(const Binary&, const Stage& stage, Placement& placement) { form_of_two(stage, placement); }

void emit(const Binary& binary, const Stage& stage, Planner& p) {
  const int output = stage.op.output;
  const auto with = [&](auto second) {
    return [&, second](const auto& append) {
      append.step.functions.push_back(WithOperand<decltype(second)>{binary.kind, second, false});
    };
  };
  if (p.placement.at(output).lanes) {
    const Operand x = operand_of(stage.op.inputs[0], output, p), other = operand_of(stage.op.inputs[1], output, p);
    return emit_lanes(stage, x, other.tensor.ref.buffer, p, with(other.walk));
  }
  const TensorRef x = dense_operand_of(stage.op.inputs[0], output, p);
  const TensorRef second = dense_operand_of(stage.op.inputs[1], output, p);
  emit_flat(stage, x, second, p, with(second));
}

}  // namespace sparsecpu
