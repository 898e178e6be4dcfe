#include "lower/ops/elementwise.h"

#include "lower/arithmetic.h"
#include "lower/operands.h"
#include "lower/parameters.h"
#include "run/pointwise_steps.h"

namespace sparsecpu {
namespace {

// A row-major step on so many elements.
void add_flat(std::unique_ptr<FlatStep> step, const char* kernel, const Shape& shape,
              std::initializer_list<int> buffers, Planner& p) {
  step->kernels = &p.emission.kernels();
  step->count = elements_of(shape);
  FlatStep& s = p.emission.add(std::move(step), kernel, buffers);
  s.chunks = p.emission.workers().chunks_for(s.count / kLanes + 1, kLanes);
}

}  // namespace

void form(const Unary&, const Stage& stage, Placement& placement) {
  placement.at(stage.op.output).place_as(placement.at(stage.op.inputs[0]));
}

void emit(const Unary& unary, const Stage& stage, Planner& p) {
  const int in = stage.op.inputs[0];
  const Placed& out = p.placement.at(stage.op.output);
  if (!out.lanes) {
    auto step = std::make_unique<FlatStep>();
    step->what = FlatStep::Kind::kUnary;
    step->x = p.layouts.dense_of(in);
    step->y = p.layouts.new_dense(stage.op.output);
    step->function = activation_of(unary);
    const int x = step->x.buffer, y = step->y.buffer;
    return add_flat(std::move(step), "unary", out.shape, {x, y}, p);
  }
  const LaneTensor x = p.layouts.lanes_of(in, out.blocks, out.axes);
  const LaneTensor y = p.layouts.new_lanes(stage.op.output);
  auto step = std::make_unique<LaneUnaryStep>();
  step->function = activation_of(unary);
  p.emission.add_positions(std::move(step), "unary", x, y);
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
  const int first = stage.op.inputs[0], second = stage.op.inputs[1], output = stage.op.output;
  const Placed& out = p.placement.at(output);
  if (!out.lanes) {
    auto step = std::make_unique<FlatStep>();
    step->what = FlatStep::Kind::kBinary;
    step->x = dense_operand_of(first, output, p);
    step->second = dense_operand_of(second, output, p);
    step->y = p.layouts.new_dense(output);
    step->binary = binary.kind;
    step->function = activation_of(stage.post);
    const int a = step->x.buffer, b = step->second.buffer, y = step->y.buffer;
    return add_flat(std::move(step), "binary", out.shape, {a, b, y}, p);
  }
  const Operand x = operand_of(first, output, p), other = operand_of(second, output, p);
  const LaneTensor y = p.layouts.new_lanes(output);
  auto step = std::make_unique<LaneBinaryStep>();
  step->kind = binary.kind;
  step->post = activation_of(stage.post);
  step->second = other.walk;
  p.emission.add_positions(std::move(step), "binary", x.tensor, y, other.tensor.ref.buffer).x = x.walk;
}

void form(const Affine& affine, const Stage& stage, Placement& placement) {
  const Placed& in = placement.at(stage.op.inputs[0]);
  const bool scalar = affine.scale.size() == 1 && affine.shift.size() == 1;
  placement.at(stage.op.output).place_lanes(scalar && in.lanes ? in.axes : affine.axes);
}

void emit(const Affine& affine, const Stage& stage, Planner& p) {
  const Placed& out = p.placement.at(stage.op.output);
  const LaneTensor x = p.layouts.lanes_of(stage.op.inputs[0], out.blocks, out.axes);
  const LaneTensor y = p.layouts.new_lanes(stage.op.output);
  auto step = std::make_unique<LaneAffineStep>();
  const auto widen = [&](const std::vector<float>& v) {
    return v.size() == 1 ? std::vector<float>(static_cast<size_t>(x.vectors), v[0]) : v;
  };
  step->scale = widen(affine.scale);
  step->shift = widen(affine.shift);
  p.emission.add_positions(std::move(step), "affine", x, y);
}

}  // namespace sparsecpu
