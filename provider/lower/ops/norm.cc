#include "lower/ops/norm.h"

#include "lower/planner.h"
#include "pack/kernel_times.h"
#include "run/norm_steps.h"

namespace sparsecpu {

void form(const LayerNorm&, const Stage& stage, Placement& placement) {
  const Placed& in = placement.at(stage.op.inputs[0]);
  Placed& out = placement.at(stage.op.output);
  if (in.lanes && in.axes == Axes::kTokens) {
    out.place_as(in);
  } else if (token_count(out.shape) >= kFewRows) {
    out.place_lanes(Axes::kTokens);
  }
}

void emit(const LayerNorm& norm, const Stage& stage, Planner& p) {
  const int in = stage.op.inputs[0];
  const Placed& out = p.placement.at(stage.op.output);
  const NormParameters parameters{norm.scale, norm.shift, norm.epsilon};
  if (out.lanes) {
    const LaneTensor x = p.layouts.lanes_of(in, out.blocks, Axes::kTokens);
    const LaneTensor y = p.layouts.new_lanes(stage.op.output);
    auto step = std::make_unique<LaneNormStep>();
    step->parameters = parameters;
    p.emission.add_positions(std::move(step), "layer norm", x, y);
    return;
  }
  auto step = std::make_unique<RowNormStep>();
  step->kernels = &p.emission.kernels();
  step->parameters = parameters;
  step->tokens = token_count(out.shape);
  step->x = p.layouts.dense_of(in);
  step->y = p.layouts.new_dense(stage.op.output);
  const int x = step->x.buffer, y = step->y.buffer;
  RowNormStep& s = p.emission.add(std::move(step), "layer norm", {x, y});
  s.chunks = p.emission.workers().chunks_for(s.tokens, static_cast<int64_t>(norm.scale.size()));
}

}  // namespace sparsecpu
