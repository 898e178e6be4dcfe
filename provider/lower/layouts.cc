#include "lower/layouts.h"

#include <algorithm>
#include <utility>

#include "ops/window_memory.h"
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

// `tensor` has the blocks of `need`, and covers it.
WindowInput window_walk(const LaneTensor& tensor, const Geometry& need, const Window& window) {
  const LaneTensor& t = tensor;
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

}  // namespace

TensorRef Layouts::new_dense(int value) {
  Placed& v = placement_.at(value);
  int64_t count = 1;
  for (int64_t d : v.shape) count = checked_mul(count, d);
  v.dense = {v.region_output != kNone ? buffers_.output(static_cast<size_t>(v.region_output))
                                      : buffers_.add(count, v.is_bytes() ? 1 : sizeof(float)),
             0};
  return *v.dense;
}

TensorRef Layouts::dense_of(int value) {
  const Placed& v = placement_.at(value);
  if (v.dense) return *v.dense;
  if (is_empty(v.shape)) return new_dense(value);
  const Version source = v.versions.front();
  const LaneTensor& lanes = source.tensor;
  const TensorRef target = new_dense(value);
  add_export(value, lanes, target,
             TransferPlan(lanes.geometry, lanes.position_stride, v.channels(source.axes),
                          strides_of(v.shape, source.axes), Coverage::kCanonical));
  return target;
}

void Layouts::add_export(int value, const LaneTensor& lanes, TensorRef target, const TransferPlan& plan) {
  const auto finish = [&](auto step) {
    step->lanes = lanes.ref;
    step->tensor = target;
    auto& s = emission_.add(std::move(step), "export", {lanes.ref.buffer, target.buffer});
    s.layout = LayoutChange::kExport;
    s.chunks = emission_.workers().chunks_for(s.units(), lanes.floats() / std::max<int64_t>(1, s.units()));
  };
  const Placed& v = placement_.at(value);
  if (v.is_bytes()) {
    auto step = std::make_unique<ByteExportStep>(emission_.kernels(), plan);
    step->sign = sign_of(v.type);
    finish(std::move(step));
  } else {
    finish(std::make_unique<ExportStep>(emission_.kernels(), plan));
  }
}

LaneTensor Layouts::new_tensor(const Geometry& geometry, int64_t vectors) {
  LaneTensor t;
  t.geometry = geometry;
  t.vectors = vectors;
  t.position_stride = checked_mul(padded_vectors(vectors), kLanes);
  const int64_t floats = checked_mul(checked_mul(geometry.groups(), geometry.positions()), t.position_stride);
  t.ref = {buffers_.add(floats, sizeof(float)), 0};
  return t;
}

LaneTensor Layouts::new_lanes(int value) {
  const Placed& v = placement_.at(value);
  const int64_t vectors = v.vectors(v.axes);
  const Geometry geometry = v.home_geometry();
  OpenChain* chain = emission_.chain();
  if (chain != nullptr && chain->keeps(value)) return adopt_lanes(value, chain->tensor_of(value, geometry, vectors));
  return adopt_lanes(value, new_tensor(geometry, vectors));
}

LaneTensor Layouts::adopt_lanes(int value, const LaneTensor& tensor) {
  Placed& v = placement_.at(value);
  v.versions.push_back({tensor, v.axes, v.halo ? std::optional<FillBits>(v.fill) : std::nullopt});
  return tensor;
}

LaneTensor Layouts::imported(int value, const Geometry& geometry, Axes axes, FillBits fill) {
  Placed& v = placement_.at(value);
  const LaneTensor target = new_tensor(geometry, v.vectors(axes));
  add_import(
      value, dense_of(value), target,
      TransferPlan(geometry, target.position_stride, v.channels(axes), strides_of(v.shape, axes), Coverage::kWholeGrid),
      fill);
  v.versions.push_back({target, axes, fill});
  return target;
}

LaneTensor Layouts::transposed_lanes_of(int value, const Geometry& blocks) {
  const Placed& v = placement_.at(value);
  const int64_t channels = v.shape[0];
  const LaneTensor target = new_tensor(blocks, v.is_bytes() ? ceil_div(channels, 4) : channels);
  add_import(value, dense_of(value), target,
             TransferPlan(blocks, target.position_stride, channels, {1, v.shape[1], 0, 0}, Coverage::kWholeGrid), 0);
  return target;
}

void Layouts::add_import(int value, TensorRef source, const LaneTensor& target, const TransferPlan& plan,
                         FillBits fill) {
  const auto finish = [&](auto step) {
    step->tensor = source;
    step->lanes = target.ref;
    auto& s = emission_.add(std::move(step), "import", {source.buffer, target.ref.buffer});
    s.layout = LayoutChange::kImport;
    s.chunks = emission_.workers().chunks_for(s.units(), target.floats() / std::max<int64_t>(1, s.units()));
  };
  const Placed& v = placement_.at(value);
  if (v.is_bytes()) {
    auto step = std::make_unique<ByteImportStep>(emission_.kernels(), plan);
    step->sign = sign_of(v.type);
    step->fill = fill;
    step->quantization = v.quantization;
    finish(std::move(step));
    if (v.quantization) emission_.also_uses(*v.quantization);
  } else {
    auto step = std::make_unique<ImportStep>(emission_.kernels(), plan);
    step->fill = std::bit_cast<float>(fill);
    finish(std::move(step));
  }
}

// Memory for another layout of `source`.
LaneTensor Layouts::new_relaid(const LaneTensor& source, const Geometry& destination, int64_t vectors) {
  OpenChain* chain = emission_.chain();
  const bool in_chain = chain != nullptr && chain->holds(source);
  return in_chain ? chain->scratch_tensor(destination, vectors) : new_tensor(destination, vectors);
}

LaneTensor Layouts::relaid(const LaneTensor& source, const Geometry& destination, FillBits fill) {
  const LaneTensor target = new_relaid(source, destination, source.vectors);
  add_relayout(source, target, {}, fill).layout = LayoutChange::kRelayout;
  return target;
}

PermuteStep& Layouts::add_relayout(const LaneTensor& source, const LaneTensor& target, const PixelMap& map,
                                   FillBits fill) {
  return add_permute(
      plan_relayout(source.geometry, source.position_stride, target.geometry, target.position_stride, map), source,
      target, fill, "relayout");
}

PermuteStep& Layouts::add_permute(PermutePlan plan, const LaneTensor& source, const LaneTensor& target, FillBits fill,
                                  const char* name) {
  auto step = std::make_unique<PermuteStep>();
  step->kernels = &emission_.kernels();
  step->plan = std::move(plan);
  step->vectors = source.vectors;
  step->x = source.ref;
  step->y = target.ref;
  step->fill = std::bit_cast<float>(fill);
  emission_.count_tables(memory_of(step->plan));
  PermuteStep& s = emission_.add(std::move(step), name, {source.ref.buffer, target.ref.buffer});
  const int64_t copies = static_cast<int64_t>(s.plan.copies.size()) * s.plan.repeats;
  s.chunks = emission_.workers().chunks_for(ceil_div(s.vectors, 8), 8 * kLanes * copies);
  buffers_.set_by_channel(target.ref.buffer, true);
  return s;
}

void Layouts::fill_halo(int value) {
  const Placed& v = placement_.at(value);
  if (!v.halo || v.versions.empty()) return;
  const LaneTensor home = v.versions.front().tensor;
  PermutePlan plan = plan_halo(home.geometry, home.position_stride);
  if (plan.copies.empty()) return;
  LaneStep* producer = emission_.last_layer();
  if (producer == nullptr || producer->y.ref.buffer != home.ref.buffer) {
    add_permute(std::move(plan), home, home, v.fill, "halo").layout = LayoutChange::kHalo;
    return;
  }
  emission_.count_tables(memory_of(plan));
  producer->halo = copies_by_source(std::move(plan), home, v.fill);
}

LaneTensor Layouts::image_of(int value) {
  const Placed& v = placement_.at(value);
  const bool is_home = v.lanes && v.axes == Axes::kImage;
  return lanes_of(value, is_home ? v.blocks : blocks_of(v.shape, Axes::kImage), Axes::kImage);
}

LaneTensor Layouts::lanes_of(int value, const Geometry& blocks, Axes axes) {
  Placed& v = placement_.at(value);
  if (const Version* found = v.find_version(axes, blocks, std::nullopt)) return found->tensor;
  const Version* source = v.complete_version(axes);
  if (source == nullptr) return imported(value, blocks, axes, 0);
  const LaneTensor made = relaid(LaneTensor(source->tensor), blocks, 0);
  v.versions.push_back({made, axes, FillBits{0}});
  return made;
}

WindowInput Layouts::window_of(int value, const Placed& out, const Window& window, const WindowExtent& extent,
                               FillBits fill) {
  Placed& v = placement_.at(value);
  const WindowLayout layout = window_layout(v.shape, out.blocks, window, extent);
  if (layout.gathers()) return gathered(value, out, window, layout, fill);
  const Geometry& need = layout.aligned();
  const std::optional<FillBits> border = layout.reads_pixels_only() ? std::nullopt : std::optional<FillBits>(fill);
  if (const Version* found = v.find_version(Axes::kImage, need, border)) {
    return window_walk(found->tensor, need, window);
  }
  // A border that only the run knows is filled by an import.
  const Version* complete = v.quantization ? nullptr : v.complete_version(Axes::kImage);
  if (complete == nullptr) return window_walk(imported(value, need, Axes::kImage, fill), need, window);
  // A strided 1x1 window reads one pixel an output: copy just those.
  if (window.kernel == std::array<int64_t, 2>{1, 1}) return gathered(value, out, window, layout, fill);
  const LaneTensor source = complete->tensor;
  const LaneTensor made = relaid(source, need, fill);
  v.versions.push_back({made, Axes::kImage, fill});
  return window_walk(made, need, window);
}

WindowInput Layouts::gathered(int value, const Placed& out, const Window& window, const WindowLayout& layout,
                              FillBits fill) {
  const Placed& v = placement_.at(value);
  const Version* complete = v.complete_version(Axes::kImage);
  const LaneTensor source = complete != nullptr ? complete->tensor : image_of(value);
  const LaneTensor target = new_relaid(source, out.blocks, layout.slots() * source.vectors);
  const int64_t slot_step = source.vectors * kLanes;
  PermuteStep& step =
      add_permute(layout.gather(source.geometry, source.position_stride, target.position_stride, slot_step), source,
                  target, fill, "relayout");
  step.layout = LayoutChange::kRelayout;
  step.quantization = v.quantization;
  if (step.quantization) emission_.also_uses(*step.quantization);
  WindowInput result{target, walk_pixels(target), {}};
  for (int64_t row = 0; row < window.kernel[0]; ++row) {
    for (int64_t column = 0; column < window.kernel[1]; ++column) {
      result.taps.push_back(layout.slot(row, column) * slot_step);
    }
  }
  return result;
}

// An import of images without pixels leaves nothing but the fill value.
void Layouts::fill_lanes(const LaneTensor& target, FillBits fill) {
  Geometry nothing = target.geometry;
  nothing.h = 0;
  auto step = std::make_unique<ImportStep>(
      emission_.kernels(), TransferPlan(nothing, target.position_stride, target.vectors, {}, Coverage::kWholeGrid));
  step->tensor = step->lanes = target.ref;
  step->fill = std::bit_cast<float>(fill);
  ImportStep& s = emission_.add(std::move(step), "fill", {target.ref.buffer});
  s.chunks = emission_.workers().chunks_for(s.units(), target.vectors * kLanes);
}

}  // namespace sparsecpu
