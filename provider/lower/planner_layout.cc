// Second pass: a value in the form that a stage needs, converting at most once per form.
#include "lower/planner.h"
#include "run/layout_steps.h"

namespace sparsecpu {
namespace {

int64_t channels_of(const Shape& shape, Axes axes) {
  if (axes == Axes::kTokens) return shape.back();
  return shape.size() > 1 ? shape[1] : 1;
}

// Element strides of (image, channel, row, column) in the row-major tensor of this shape.
TensorStrides strides_of(const Shape& shape, Axes axes) {
  const int64_t c = channels_of(shape, axes);
  if (axes == Axes::kTokens) return {c, 1, 0, 0};
  const int64_t h = shape.size() > 3 ? shape[2] : 1;
  const int64_t w = shape.size() > 2 ? shape.back() : 1;
  return {c * h * w, h * w, w, 1};
}

}  // namespace

TensorRef Planner::new_dense(int value) {
  Placed& v = at(value);
  int64_t count = 1;
  for (int64_t d : v.shape) count = checked_mul(count, d);
  v.dense_buffer = v.region_output != kNone
                       ? fixed_buffer(BufferPlace::Kind::kOutput, static_cast<size_t>(v.region_output))
                       : new_buffer(count);
  return {v.dense_buffer, 0};
}

TensorRef Planner::dense_of(int value) {
  if (at(value).dense_buffer != kNone) return {at(value).dense_buffer, 0};
  const LaneTensor source = at(value).tensors.front();
  const Axes axes = at(value).tensor_axes.front();
  const TensorRef target = new_dense(value);
  auto step = std::make_unique<ExportStep>(
      kernels_, TransferPlan(source.geometry, source.position_stride, source.channels, strides_of(at(value).shape, axes),
                             Coverage::kCanonical));
  step->lanes = source.ref;
  step->tensor = target;
  ExportStep& s = add(std::move(step), "export", {source.ref.buffer, target.buffer});
  const int64_t units = s.plan.rows() * s.plan.segments();
  s.chunks = chunks_for(units, source.floats() / units);
  return target;
}

Geometry Planner::home_geometry(int value) const {
  const Placed& v = at(value);
  return v.halo ? with_extent(v.blocks, *v.halo) : with_extent(v.blocks, {0, 0, v.blocks.step_h, v.blocks.step_w});
}

LaneTensor Planner::new_tensor(const Geometry& geometry, int64_t channels) {
  LaneTensor t;
  t.geometry = geometry;
  t.channels = channels;
  t.position_stride = checked_mul(channels, kLanes);
  t.ref = {new_buffer(checked_mul(checked_mul(geometry.groups(), geometry.positions()), t.position_stride)), 0};
  return t;
}

LaneTensor Planner::new_lanes(int value) {
  return adopt_lanes(value, new_tensor(home_geometry(value), channels_of(at(value).shape, at(value).axes)));
}

LaneTensor Planner::adopt_lanes(int value, const LaneTensor& tensor) {
  at(value).tensors.push_back(tensor);
  at(value).tensor_axes.push_back(at(value).axes);
  return tensor;
}

LaneTensor Planner::imported(int value, const Geometry& geometry, Axes axes, float fill, bool transposed) {
  const Shape& shape = at(value).shape;
  const TensorRef source = dense_of(value);
  TensorStrides strides = strides_of(shape, axes);
  int64_t channels = channels_of(shape, axes);
  if (transposed) {                         // [channels, tokens]
    channels = shape[0];
    strides = {1, shape[1], 0, 0};
  }
  return import_strided(source, new_tensor(geometry, channels), strides, fill);
}

LaneTensor Planner::import_strided(TensorRef source, const LaneTensor& target, const TensorStrides& strides, float fill) {
  auto step = std::make_unique<ImportStep>(
      kernels_,
      TransferPlan(target.geometry, target.position_stride, target.channels, strides, Coverage::kWholeGrid));
  step->tensor = source;
  step->lanes = target.ref;
  step->fill = fill;
  ImportStep& s = add(std::move(step), "import", {source.buffer, target.ref.buffer});
  const int64_t units = s.plan.rows() * s.plan.segments();
  s.chunks = chunks_for(units, target.floats() / units);
  return target;
}

LaneTensor Planner::relaid(const LaneTensor& source, const Geometry& destination, const PixelMap& map, float fill) {
  const LaneTensor target = new_tensor(destination, source.channels);
  permute_into(source, target, map, fill);
  return target;
}

void Planner::permute_into(const LaneTensor& source, const LaneTensor& target, const PixelMap& map, float fill) {
  add_permute(plan_relayout(source.geometry, source.position_stride, target.geometry, target.position_stride, map),
              source, target, fill, "relayout");
}

void Planner::add_permute(PermutePlan plan, const LaneTensor& source, const LaneTensor& target, float fill,
                          const char* name) {
  auto step = std::make_unique<PermuteStep>();
  step->kernels = &kernels_;
  step->plan = std::move(plan);
  step->channels = source.channels;
  step->x = source.ref;
  step->y = target.ref;
  step->fill = fill;
  program_->plan_bytes += step->plan.copies.size() * sizeof(LaneCopy) + step->plan.sources.size() * sizeof(LaneSource);
  PermuteStep& s = add(std::move(step), name, {source.ref.buffer, target.ref.buffer});
  const int64_t copies = static_cast<int64_t>(s.plan.copies.size()) * s.plan.repeats;
  s.chunks = chunks_for(ceil_div(s.channels, 8), 8 * kLanes * copies);
}

void Planner::fill_halo(int value) {
  const Placed& v = at(value);
  if (!v.halo || v.tensors.empty()) return;
  const LaneTensor home = v.tensors.front();
  PermutePlan plan = plan_halo(home.geometry, home.position_stride);
  if (!plan.copies.empty()) add_permute(std::move(plan), home, home, v.fill, "halo");
}

LaneTensor Planner::lanes_of(int value, const Geometry& blocks, Axes axes) {
  Placed& v = at(value);
  for (size_t i = 0; i < v.tensors.size(); ++i) {
    if (v.tensor_axes[i] == axes && same_blocks(v.tensors[i].geometry, blocks)) return v.tensors[i];
  }
  const bool same_axes = !v.tensors.empty() && v.tensor_axes.front() == axes;
  const LaneTensor made = same_axes ? relaid(LaneTensor(v.tensors.front()), blocks, {}, 0.0f)
                                    : imported(value, blocks, axes, 0.0f);
  at(value).tensors.push_back(made);
  at(value).tensor_axes.push_back(axes);
  return made;
}

// [n, c] (or [n, c, 1, 1]) as one vector a channel and batch group: each lane holds its image's value.
LaneTensor Planner::channel_lanes_of(int value, const Geometry& like) {
  Geometry g;
  g.n = like.n;
  g.h = g.lanes_h = like.lanes_h;
  g.w = g.lanes_w = like.lanes_w;
  g.lanes_n = like.lanes_n;
  const int64_t channels = channels_of(at(value).shape, Axes::kImage);
  const TensorRef source = dense_of(value);
  return import_strided(source, new_tensor(g, channels), {channels, 1, 0, 0}, 0.0f);
}

// In place if the value's home has the blocks (its halo was demanded then), else a copy made for this window.
WindowInput Planner::window_of(int value, const Placed& out, const Window& window, const WindowExtent& extent,
                               float fill) {
  const Geometry out_blocks = out.blocks;
  Geometry in_image = out_blocks;
  const Shape& shape = at(value).shape;
  in_image.h = shape.size() > 3 ? shape[2] : 1;
  in_image.w = shape.size() > 2 ? shape.back() : 1;
  const Geometry need = aligned_input(out_blocks, in_image, window, extent);
  const bool pointwise = window.kernel[0] * window.kernel[1] == 1;
  for (size_t i = 0; i < at(value).tensors.size(); ++i) {
    const LaneTensor& t = at(value).tensors[i];
    const bool same_fill = i > 0 ? false : at(value).fill == fill || !at(value).halo;
    if (at(value).tensor_axes[i] != Axes::kImage || !same_blocks(t.geometry, need)) continue;
    const bool covers = t.geometry.origin_h <= need.origin_h && t.geometry.origin_w <= need.origin_w &&
                        t.geometry.origin_h + t.geometry.grid_h >= need.origin_h + need.grid_h &&
                        t.geometry.origin_w + t.geometry.grid_w >= need.origin_w + need.grid_w;
    const bool no_border = pointwise && need.origin_h >= 0 && need.origin_w >= 0;
    if (covers && (no_border || (same_fill && at(value).halo))) return window_walk(t, need, window);
  }
  const bool lanes = !at(value).tensors.empty() && at(value).tensor_axes.front() == Axes::kImage;
  if (!lanes) return window_walk(imported(value, need, Axes::kImage, fill), need, window);
  const LaneTensor source = at(value).tensors.front();
  if (!pointwise) return window_walk(relaid(source, need, {}, fill), need, window);
  // A strided 1x1 window reads one pixel an output: copy just those.
  PixelMap map;
  for (int64_t y = 0; y < out_blocks.h; ++y) map.rows.table.push_back(y * window.stride[0] - extent.pads[0]);
  for (int64_t x = 0; x < out_blocks.w; ++x) map.columns.table.push_back(x * window.stride[1] - extent.pads[1]);
  const LaneTensor picked = relaid(source, out_blocks, map, fill);
  return {picked, walk_pixels(picked), 0, 0};
}

WindowInput Planner::window_walk(const LaneTensor& t, const Geometry& need, const Window& window) {
  WindowInput result;
  result.tensor = t;
  result.first = {t.ref, t.group_stride(), window.stride[0] * t.row_stride(), window.stride[1] * t.position_stride};
  result.first.ref.offset +=
      (need.origin_h - t.geometry.origin_h) * t.row_stride() + (need.origin_w - t.geometry.origin_w) * t.position_stride;
  result.row_step = window.dilation[0] * t.row_stride();
  result.column_step = window.dilation[1] * t.position_stride;
  return result;
}

}  // namespace sparsecpu
