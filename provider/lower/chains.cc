#include "lower/chains.h"

#include <algorithm>

#include "base/cpu.h"
#include "lower/layer_pack.h"
#include "ops/window_memory.h"
#include "pack/speeds.h"

namespace sparsecpu {
namespace {

int64_t position_count(const Geometry& g) { return g.groups() * g.step_h * g.step_w; }

// Most vectors in a block of generated code. Bytes: four channels each.
int64_t unit_vectors(const Stage& stage) { return stage.pack->main().of_bytes() ? kJitRows / 4 : kJitRows; }

bool runs_as(LayerForm form, const Stage& stage) { return stage.pack && stage.pack->main().form() == form; }

bool is_pointwise_layer(const Stage& stage) {
  const bool others = !stage.pack || runs_as(LayerForm::kDepthwise, stage) || is_row_major(stage.pack->main().form());
  return !others && is_pointwise(*stage.op.layer());
}

bool gathers_taps(const Stage& layer, const Placement& placement) {
  const std::optional<LinearShape> linear = layer.op.layer();
  if (!linear || linear->axes != Axes::kImage) return false;
  const Shape& in = placement.shape(layer.op.inputs[0]);
  const WindowExtent extent = window_extent(linear->window, image_size(in));
  return window_layout(in, placement.at(layer.op.output).blocks, linear->window, extent).gathers();
}

}  // namespace

// Nothing but the next stage reads the value, as the lane-blocked image that its window passes over.
bool Chains::feeds_only_next(size_t stage) const {
  if (stage + 1 >= end_) return false;
  const Stage& next = stages_[stage + 1];
  const int value = stages_[stage].op.output;
  const Placed &v = placement_.at(value), &out = placement_.at(next.op.output);
  const bool images = v.lanes && v.axes == Axes::kImage && out.lanes && out.axes == Axes::kImage;
  if (!images || v.last_use != static_cast<int>(stage) + 1 || v.region_output != kNone) return false;
  if (next.op.inputs[0] != value || gathers_taps(next, placement_)) return false;
  if (next.residual < 0) return true;
  const Placed& residual = placement_.at(next.residual);  // one that is there without another step
  return next.residual != value && residual.lanes && residual.shape == out.shape &&
         same_blocks(residual.blocks, out.blocks);
}

std::optional<ChainKind> Chains::kind_of(size_t stage) const {
  if (!feeds_only_next(stage)) return {};
  const Stage &layer = stages_[stage], &next = stages_[stage + 1];
  if (runs_as(LayerForm::kCode, layer) && runs_as(LayerForm::kDepthwise, next)) return kind_of_channels(stage);
  const Placed& v = placement_.at(layer.op.output);
  if (!runs_as(LayerForm::kDepthwise, layer) || v.halo || !is_pointwise_layer(next)) return {};
  const bool many = position_count(v.blocks) >= kMinPositionsPerWorker * workers_.count;
  return many ? std::optional(ChainKind::kPositions) : std::nullopt;
}

// Generated code, then a depthwise layer.
std::optional<ChainKind> Chains::kind_of_channels(size_t stage) const {
  const int64_t bytes = unit_bytes(stage), rows = part_rows(stage), most_bytes = l2_share(kUnitShare);
  const int64_t all = placement_.at(stages_[stage].op.output).blocks.step_h;
  const bool goes_on = feeds_only_next(stage + 1) && is_pointwise_layer(stages_[stage + 2]);
  if (goes_on && rows * workers_.count * 100 <= all * kMaxPartRows && rows * bytes <= all * most_bytes) {
    return ChainKind::kParts;
  }
  return bytes <= most_bytes ? std::optional(ChainKind::kChannels) : std::nullopt;
}

// Of a block of the stage's output channels, at all positions that a depthwise layer reads.
int64_t Chains::unit_bytes(size_t stage) const {
  const Placed& v = placement_.at(stages_[stage].op.output);
  const Geometry grid = v.halo ? with_extent(v.blocks, *v.halo) : v.blocks;
  return grid.groups() * grid.positions() * unit_vectors(stages_[stage]) * kLanes * 4;
}

// Rows of positions of the stage's output that a worker needs for its share of the rows of the next, depthwise one; no
// fewer than all where the layout is another.
int64_t Chains::part_rows(size_t stage) const {
  const Placed &v = placement_.at(stages_[stage].op.output), &out = placement_.at(stages_[stage + 1].op.output);
  const Window window = stages_[stage + 1].op.layer()->window;
  if (!v.halo || v.blocks.groups() > 1) return v.blocks.step_h;
  const int64_t own = ceil_div(out.blocks.step_h, int64_t{workers_.count});
  return (own - 1) * window.stride[0] + (window.kernel[0] - 1) * window.dilation[0] + 1;
}

std::optional<Chain> Chains::from(size_t stage) const {
  const std::optional<ChainKind> kind = kind_of(stage);
  if (!kind) return {};
  Chain chain{*kind, stage, stages_[stage].op.output, kNone, 0, 0};
  if (chain.length() == 3) chain.second = stages_[stage + 1].op.output;
  if (*kind == ChainKind::kPositions) return chain;
  // As many blocks of generated code at once as suit the cache.
  const int64_t vectors = unit_vectors(stages_[stage]);
  chain.units = std::clamp<int64_t>(l2_share(kGoodUnitShare) / unit_bytes(stage), 1, kJitRows / vectors);
  chain.vectors = chain.units * vectors;
  return chain;
}

}  // namespace sparsecpu
