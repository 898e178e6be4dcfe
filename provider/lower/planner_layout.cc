// Second pass: a value in the form that a stage needs, converting at most once per form.
#include <algorithm>
#include <utility>

#include "layout/stored_pixels.h"
#include "lower/planner.h"
#include "run/byte_steps.h"
#include "run/layout_steps.h"

namespace sparsecpu {
namespace {

size_t memory_of(const PermutePlan& plan) {
  return plan.copies.size() * sizeof(LaneCopy) + plan.sources.size() * sizeof(LaneSource);
}

// A halo position holds the pixels of one inner position, in other lanes: it follows that position. Those that are all
// fill follow the first.
HaloCopies copies_by_source(PermutePlan plan, const LaneTensor& tensor, FillBits fill) {
  const Geometry& g = tensor.geometry;
  const PositionRange positions = pixels_of(g);
  const auto source_of = [&](const LaneCopy& copy) {
    if (copy.sources == 0) return int64_t{0};
    const int64_t place = plan.sources[copy.first_source].offset / tensor.position_stride;
    return positions.index(0, place / g.grid_w + g.origin_h, place % g.grid_w + g.origin_w);
  };
  std::stable_sort(plan.copies.begin(), plan.copies.end(),
                   [&](const LaneCopy& a, const LaneCopy& b) { return source_of(a) < source_of(b); });
  HaloCopies halo;
  for (const LaneCopy& copy : plan.copies) {
    const uint32_t index = checked_index(static_cast<size_t>(&copy - plan.copies.data()));
    halo.begin.resize(std::max(halo.begin.size(), static_cast<size_t>(source_of(copy)) + 1), index);
  }
  halo.begin.resize(static_cast<size_t>(positions.in_group()) + 1, checked_index(plan.copies.size()));
  halo.plan = std::move(plan);
  halo.tensor = tensor.ref;
  halo.fill = std::bit_cast<float>(fill);
  return halo;
}

}  // namespace

TensorStrides Planner::strides_of(const Shape& shape, Axes axes) {
  if (axes == Axes::kTokens) return {shape.empty() ? 1 : shape.back(), 1, 0, 0};
  const int64_t c = shape.size() > 1 ? shape[1] : 1;
  const auto [h, w] = image_size(shape);
  return {c * h * w, h * w, w, 1};
}

int64_t Planner::channels_of(int value, Axes axes) const {
  const Shape& shape = at(value).shape;
  if (axes == Axes::kTokens) return shape.empty() ? 1 : shape.back();
  return shape.size() > 1 ? shape[1] : 1;
}

int64_t Planner::vectors_of(int value, Axes axes) const {
  return is_bytes(value) ? ceil_div(channels_of(value, axes), 4) : channels_of(value, axes);
}

TensorRef Planner::new_dense(int value) {
  Placed& v = at(value);
  int64_t count = 1;
  for (int64_t d : v.shape) count = checked_mul(count, d);
  v.dense_buffer = v.region_output != kNone
                       ? fixed_buffer(BufferPlace::Kind::kOutput, static_cast<size_t>(v.region_output))
                       : new_buffer(count, is_bytes(v.type) ? 1 : sizeof(float));
  return {v.dense_buffer, 0};
}

TensorRef Planner::dense_of(int value) {
  if (at(value).dense_buffer != kNone) return {at(value).dense_buffer, 0};
  if (is_empty(at(value).shape)) return new_dense(value);
  const Version source = at(value).versions.front();
  const LaneTensor& lanes = source.tensor;
  const TensorRef target = new_dense(value);
  add_export(value, lanes, target,
             TransferPlan(lanes.geometry, lanes.position_stride, channels_of(value, source.axes),
                          strides_of(at(value).shape, source.axes), Coverage::kCanonical));
  return target;
}

void Planner::add_export(int value, const LaneTensor& lanes, TensorRef target, const TransferPlan& plan) {
  const auto finish = [&](auto step) {
    step->lanes = lanes.ref;
    step->tensor = target;
    auto& s = add(std::move(step), "export", {lanes.ref.buffer, target.buffer});
    s.layout = LayoutChange::kExport;
    s.chunks = chunks_for(s.units(), lanes.floats() / std::max<int64_t>(1, s.units()));
  };
  if (is_bytes(value)) {
    auto step = std::make_unique<ByteExportStep>(kernels_, plan);
    step->sign = sign_of(at(value).type);
    finish(std::move(step));
  } else {
    finish(std::make_unique<ExportStep>(kernels_, plan));
  }
}

Geometry Planner::home_geometry(int value) const {
  const Placed& v = at(value);
  return v.halo ? with_extent(v.blocks, *v.halo) : with_extent(v.blocks, {0, 0, v.blocks.step_h, v.blocks.step_w});
}

LaneTensor Planner::new_tensor(const Geometry& geometry, int64_t vectors) {
  LaneTensor t;
  t.geometry = geometry;
  t.vectors = vectors;
  t.position_stride = checked_mul(padded_vectors(vectors), kLanes);
  const int64_t floats = checked_mul(checked_mul(geometry.groups(), geometry.positions()), t.position_stride);
  t.ref = {new_buffer(floats, sizeof(float)), 0};
  return t;
}

LaneTensor Planner::new_lanes(int value) {
  const int64_t vectors = vectors_of(value, at(value).axes);
  const Geometry geometry = home_geometry(value);
  if (chain_ && chain_->value == value) return adopt_lanes(value, scratch_tensor(geometry, vectors));
  if (chain_ && chain_->second == value) return adopt_lanes(value, worker_tensor(geometry, vectors));
  return adopt_lanes(value, new_tensor(geometry, vectors));
}

LaneTensor Planner::adopt_lanes(int value, const LaneTensor& tensor) {
  Placed& v = at(value);
  v.versions.push_back({tensor, v.axes, v.halo ? std::optional<FillBits>(v.fill) : std::nullopt});
  return tensor;
}

LaneTensor Planner::imported(int value, const Geometry& geometry, Axes axes, FillBits fill, bool transposed) {
  const Shape& shape = at(value).shape;
  TensorStrides strides = strides_of(shape, axes);
  int64_t channels = channels_of(value, axes);
  int64_t vectors = vectors_of(value, axes);
  if (transposed) {  // [channels, tokens]
    channels = shape[0];
    vectors = is_bytes(value) ? ceil_div(channels, 4) : channels;
    strides = {1, shape[1], 0, 0};
  }
  const LaneTensor target = new_tensor(geometry, vectors);
  add_import(value, dense_of(value), target,
             TransferPlan(geometry, target.position_stride, channels, strides, Coverage::kWholeGrid), fill);
  if (!transposed) at(value).versions.push_back({target, axes, fill});
  return target;
}

// `source`: the value, or a copy of it with repeated elements.
void Planner::add_import(int value, TensorRef source, const LaneTensor& target, const TransferPlan& plan,
                         FillBits fill) {
  const auto finish = [&](auto step) {
    step->tensor = source;
    step->lanes = target.ref;
    auto& s = add(std::move(step), "import", {source.buffer, target.ref.buffer});
    s.layout = LayoutChange::kImport;
    s.chunks = chunks_for(s.units(), target.floats() / std::max<int64_t>(1, s.units()));
  };
  if (is_bytes(value)) {
    auto step = std::make_unique<ByteImportStep>(kernels_, plan);
    step->sign = sign_of(at(value).type);
    step->fill = fill;
    step->quantization = at(value).quantization;
    finish(std::move(step));
    if (at(value).quantization) also_uses(*at(value).quantization);
  } else {
    auto step = std::make_unique<ImportStep>(kernels_, plan);
    step->fill = std::bit_cast<float>(fill);
    finish(std::move(step));
  }
}

// Memory for another layout of `source`.
LaneTensor Planner::new_relaid(const LaneTensor& source, const Geometry& destination, int64_t vectors) {
  const bool scratch = chain_ && source.ref.buffer == chain_->scratch;
  return scratch ? scratch_tensor(destination, vectors) : new_tensor(destination, vectors);
}

LaneTensor Planner::relaid(const LaneTensor& source, const Geometry& destination, const PixelMap& map, FillBits fill) {
  const LaneTensor target = new_relaid(source, destination, source.vectors);
  permute_into(source, target, map, fill);
  program_->steps.back()->layout = LayoutChange::kRelayout;
  return target;
}

void Planner::permute_into(const LaneTensor& source, const LaneTensor& target, const PixelMap& map, FillBits fill) {
  add_permute(plan_relayout(source.geometry, source.position_stride, target.geometry, target.position_stride, map),
              source, target, fill, "relayout");
}

void Planner::add_permute(PermutePlan plan, const LaneTensor& source, const LaneTensor& target, FillBits fill,
                          const char* name) {
  auto step = std::make_unique<PermuteStep>();
  step->kernels = &kernels_;
  step->plan = std::move(plan);
  step->vectors = source.vectors;
  step->x = source.ref;
  step->y = target.ref;
  step->fill = std::bit_cast<float>(fill);
  program_->plan_bytes += memory_of(step->plan);
  PermuteStep& s = add(std::move(step), name, {source.ref.buffer, target.ref.buffer});
  const int64_t copies = static_cast<int64_t>(s.plan.copies.size()) * s.plan.repeats;
  s.chunks = chunks_for(ceil_div(s.vectors, 8), 8 * kLanes * copies);
  buffers_[static_cast<size_t>(target.ref.buffer)].by_channel = true;
}

// The step that computes a tensor completes its halo too, if it can; else another one does.
void Planner::fill_halo(int value) {
  const Placed& v = at(value);
  if (!v.halo || v.versions.empty()) return;
  const LaneTensor home = v.versions.front().tensor;
  PermutePlan plan = plan_halo(home.geometry, home.position_stride);
  if (plan.copies.empty()) return;
  auto* producer = dynamic_cast<LaneStep*>(program_->steps.back().get());
  if (producer == nullptr || producer->y.ref.buffer != home.ref.buffer) {
    add_permute(std::move(plan), home, home, v.fill, "halo");
    program_->steps.back()->layout = LayoutChange::kHalo;
    return;
  }
  program_->plan_bytes += memory_of(plan);
  producer->halo = copies_by_source(std::move(plan), home, v.fill);
}

// With `fill`, positions and lanes outside the image must hold it; without, they do not matter.
const Planner::Version* Planner::find_version(int value, Axes axes, const Geometry& need,
                                              std::optional<FillBits> fill) const {
  for (const Version& version : at(value).versions) {
    const Geometry& have = version.tensor.geometry;
    if (version.axes == axes && same_blocks(have, need) && covers(have, need) && (!fill || version.fill == fill)) {
      return &version;
    }
  }
  return nullptr;
}

const Planner::Version* Planner::complete_version(int value, Axes axes) const {
  for (const Version& version : at(value).versions) {
    if (version.axes == axes && stores_every_pixel(version.tensor.geometry)) return &version;
  }
  return nullptr;
}

// The whole image without a halo, in its home form if that is one of images.
LaneTensor Planner::image_of(int value) {
  const Placed& v = at(value);
  const bool is_home = v.lanes && v.axes == Axes::kImage;
  return lanes_of(value, is_home ? v.blocks : blocks_of(v.shape, Axes::kImage), Axes::kImage);
}

LaneTensor Planner::lanes_of(int value, const Geometry& blocks, Axes axes) {
  if (const Version* found = find_version(value, axes, blocks, std::nullopt)) return found->tensor;
  const Version* source = complete_version(value, axes);
  if (source == nullptr) return imported(value, blocks, axes, 0);
  const LaneTensor made = relaid(LaneTensor(source->tensor), blocks, {}, 0);
  at(value).versions.push_back({made, axes, FillBits{0}});
  return made;
}

// In place if a version with the blocks has the border, else a copy made for this window.
WindowInput Planner::window_of(int value, const Placed& out, const Window& window, const WindowExtent& extent,
                               FillBits fill) {
  const WindowLayout layout = window_layout(at(value).shape, out.blocks, window, extent);
  if (layout.gathers()) return gathered(value, out, window, layout, fill);
  const Geometry& need = layout.aligned();
  const bool pointwise = window.kernel[0] * window.kernel[1] == 1;
  const bool borderless = pointwise && need.origin_h >= 0 && need.origin_w >= 0;
  const std::optional<FillBits> border = borderless ? std::nullopt : std::optional<FillBits>(fill);
  if (const Version* found = find_version(value, Axes::kImage, need, border)) {
    return window_walk(found->tensor, need, window);
  }
  // A border that only the run knows is filled by an import.
  const Version* complete = at(value).quantization ? nullptr : complete_version(value, Axes::kImage);
  if (complete == nullptr) return window_walk(imported(value, need, Axes::kImage, fill), need, window);
  // A strided 1x1 window reads one pixel an output: copy just those.
  if (pointwise) return gathered(value, out, window, layout, fill);
  const LaneTensor source = complete->tensor;
  const LaneTensor made = relaid(source, need, {}, fill);
  at(value).versions.push_back({made, Axes::kImage, fill});
  return window_walk(made, need, window);
}

WindowInput Planner::gathered(int value, const Placed& out, const Window& window, const WindowLayout& layout,
                              FillBits fill) {
  const Version* complete = complete_version(value, Axes::kImage);
  const LaneTensor source = complete != nullptr ? complete->tensor : image_of(value);
  LaneTensor target = new_relaid(source, out.blocks, layout.slots() * source.vectors);
  const int64_t slot_step = source.vectors * kLanes;
  add_permute(layout.gather(source.geometry, source.position_stride, target.position_stride, slot_step), source, target,
              fill, "relayout");
  auto& step = dynamic_cast<PermuteStep&>(*program_->steps.back());
  step.layout = LayoutChange::kRelayout;
  step.quantization = at(value).quantization;
  if (step.quantization) also_uses(*step.quantization);
  WindowInput result{target, walk_pixels(target), {}};
  for (int64_t row = 0; row < window.kernel[0]; ++row) {
    for (int64_t column = 0; column < window.kernel[1]; ++column) {
      result.taps.push_back(layout.slot(row, column) * slot_step);
    }
  }
  return result;
}

WindowInput Planner::window_walk(const LaneTensor& t, const Geometry& need, const Window& window) {
  if (t.by_index) return {t, walk_pixels(t)};
  WindowInput result{
      t, {t.ref, t.group_stride(), window.stride[0] * t.row_stride(), window.stride[1] * t.position_stride}, {}};
  result.first.ref.offset += (need.origin_h - t.geometry.origin_h) * t.row_stride() +
                             (need.origin_w - t.geometry.origin_w) * t.position_stride;
  for (int64_t row = 0; row < window.kernel[0]; ++row) {
    for (int64_t column = 0; column < window.kernel[1]; ++column) {
      result.taps.push_back(row * window.dilation[0] * t.row_stride() +
                            column * window.dilation[1] * t.position_stride);
    }
  }
  return result;
}

// An import of images without pixels leaves nothing but the fill value.
void Planner::fill_lanes(const LaneTensor& target, FillBits fill) {
  Geometry nothing = target.geometry;
  nothing.h = 0;
  auto step = std::make_unique<ImportStep>(
      kernels_, TransferPlan(nothing, target.position_stride, target.vectors, {}, Coverage::kWholeGrid));
  step->tensor = step->lanes = target.ref;
  step->fill = std::bit_cast<float>(fill);
  ImportStep& s = add(std::move(step), "fill", {target.ref.buffer});
  s.chunks = chunks_for(s.units(), target.vectors * kLanes);
}

}  // namespace sparsecpu
