#include "lower/ops/norm.h"

#include <algorithm>

#include "lower/parameters.h"
#include "lower/planner.h"
#include "pack/kernel_times.h"
#include "run/norm_steps.h"

namespace sparsecpu {
namespace {

// Vectors of a group in a block of positions: 16 KB, so that its second pass finds it in the L1 cache.
constexpr int64_t kBlockVectors = 256;

// The moments of blocks of x, then what normalizes each group of its channels.
TensorRef emit_units(const GroupNorm& norm, const LaneTensor& x, const Geometry& geometry, Planner& p) {
  const PositionRange positions = pixels_of(geometry);
  GroupBlocks parts{geometry, norm.groups, norm.channels() / norm.groups, 1, {}};
  parts.blocks = std::min(ceil_div(positions.in_group() * parts.channels, kBlockVectors), positions.in_group());
  parts.moments = {p.buffers.add(parts.moment_count() * kMomentFloats, sizeof(float)), 0};

  auto sum = std::make_unique<GroupMomentsStep>();
  sum->kernels = &p.emission.kernels();
  sum->parts = parts;
  sum->x = walk_pixels(x);
  for (int64_t i = 0; i < positions.in_group(); ++i) {
    const PositionRange::At at = positions.at(i);
    sum->offsets.push_back(sum->x.offset(at));
    sum->masks.push_back(pixel_lanes(geometry, at.row, at.column));
  }
  auto& summed = p.emission.add(std::move(sum), "group norm", {x.ref.buffer, parts.moments.buffer});
  const int64_t values = x.vectors * kLanes * positions.count();
  summed.chunks = p.emission.workers().chunks_for(parts.moment_count(), ceil_div(values, parts.moment_count()));

  auto finish = std::make_unique<GroupUnitsStep>();
  finish->parts = parts;
  finish->epsilon = norm.epsilon;
  const TensorRef units = finish->units = {p.buffers.add(parts.unit_count() * kUnitFloats, sizeof(float)), 0};
  auto& finished = p.emission.add(std::move(finish), "group norm", {parts.moments.buffer, units.buffer});
  finished.chunks = p.emission.workers().chunks_for(parts.unit_count(), parts.blocks * kMomentFloats);
  return units;
}

}  // namespace

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
  const NormParameters parameters{norm.scale, norm.shift, norm.epsilon, norm.centred};
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

void form(const GroupNorm&, const Stage& stage, Placement& placement) {
  placement.at(stage.op.output).place_lanes(Axes::kImage);
}

void emit(const GroupNorm& norm, const Stage& stage, Planner& p) {
  const Placed& out = p.placement.at(stage.op.output);
  const LaneTensor x = p.layouts.lanes_of(stage.op.inputs[0], out.blocks, Axes::kImage);
  const TensorRef units = emit_units(norm, x, out.blocks, p);
  const LaneTensor y = p.layouts.new_lanes(stage.op.output);
  auto step = std::make_unique<LaneGroupNormStep>();
  step->parameters = {norm.scale, norm.shift, norm.epsilon};
  step->units = units;
  step->groups = norm.groups;
  step->post = activation_of(stage.post);
  p.emission.add_positions(std::move(step), "group norm", x, y, units.buffer);
}

}  // namespace sparsecpu
