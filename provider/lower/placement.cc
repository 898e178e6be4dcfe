#include "lower/placement.h"

#include <algorithm>

#include "base/error.h"
#include "layout/stored_pixels.h"
#include "ops/dims.h"
#include "ops/window_memory.h"

namespace sparsecpu {
namespace {

// A layer's stage that adds a residual adds one of the product's shape (sums.h).
void check_sums(const OpGraph& graph, const std::vector<Stage>& stages, const Part& part, const Placement& placement) {
  for (size_t s = part.begin; s < part.end; ++s) {
    const Stage& stage = stages[s];
    const Shape &own = placement.shape(graph.ops[static_cast<size_t>(stage.op_indices.front())].output),
                &sum = placement.shape(stage.op.output);
    if (stage.op.layer() && own != sum) {
      throw Error("node '" + stage.op.name + "': its output of shape " + dims_text(own) + " is added to one of shape " +
                  dims_text(sum) + "; equal shapes are expected (the model declares neither)");
    }
  }
}

}  // namespace

int64_t Placed::vectors(Axes of) const { return is_bytes() ? ceil_div(channels(of), 4) : channels(of); }

Geometry Placed::home_geometry() const {
  return with_extent(blocks, halo ? *halo : Extent{0, 0, blocks.step_h, blocks.step_w});
}

const Version* Placed::find_version(Axes of, const Geometry& need, std::optional<FillBits> border) const {
  for (const Version& version : versions) {
    const Geometry& have = version.tensor.geometry;
    if (version.axes == of && same_blocks(have, need) && covers(have, need) && (!border || version.fill == border)) {
      return &version;
    }
  }
  return nullptr;
}

const Version* Placed::complete_version(Axes of) const {
  for (const Version& version : versions) {
    if (version.axes == of && stores_every_pixel(version.tensor.geometry)) return &version;
  }
  return nullptr;
}

void Placed::place_lanes(Axes as) {
  lanes = true;
  axes = as;
  blocks = blocks_of(shape, as);
}

void Placed::place_as(const Placed& other) {
  lanes = other.lanes;
  axes = other.axes;
  blocks = other.blocks;
}

Placement::Placement(const OpGraph& graph, const std::vector<Stage>& stages, const Part& part)
    : values_(graph.values.size()) {
  find_shapes(graph, stages, part);
  for (size_t i = 0; i < part.outputs.size(); ++i) at(part.outputs[i]).region_output = static_cast<int>(i);
  count_uses(stages, part);
  check_sums(graph, stages, part, *this);
}

void Placement::find_shapes(const OpGraph& graph, const std::vector<Stage>& stages, const Part& part) {
  for (size_t v = 0; v < values_.size(); ++v) {
    const OpValue& declared = graph.values[v];
    values_[v].type = declared.type;
    if (!declared.constant.empty()) values_[v].shape = declared.dims;
  }
  for (size_t i = 0; i < part.inputs.size(); ++i) at(part.inputs[i]).shape = part.input_shapes[i];
  for (int index : ops_of(stages, part.begin, part.end)) {
    const Op& op = graph.ops[static_cast<size_t>(index)];
    std::vector<Shape> shapes;
    for (int input : op.inputs) shapes.push_back(shape(input));
    at(op.output).shape = output_shape(op, shapes);
  }
}

void Placement::count_uses(const std::vector<Stage>& stages, const Part& part) {
  for (size_t s = part.begin; s < part.end; ++s) {
    const auto use = [&](int value) {
      at(value).last_use = static_cast<int>(s);
      ++at(value).uses;
    };
    for (int input : stages[s].op.inputs) use(input);
    if (stages[s].residual >= 0) use(stages[s].residual);
  }
}

void Placement::demand_window(int value, const Placed& out, const Window& window, const WindowExtent& extent,
                              FillBits fill) {
  Placed& in = at(value);
  if (!in.lanes || in.axes != Axes::kImage) return;
  const WindowLayout layout = window_layout(in.shape, out.blocks, window, extent);
  const Geometry& need = layout.aligned();
  if (layout.gathers() || !same_blocks(need, in.blocks)) return;
  const bool inside = need.origin_h >= 0 && need.origin_w >= 0 && need.origin_h + need.grid_h <= in.blocks.step_h &&
                      need.origin_w + need.grid_w <= in.blocks.step_w;
  if (inside && layout.reads_pixels_only()) return;
  if (in.halo && in.fill != fill) return;  // one fill a tensor; the other consumer gets a copy
  const Extent have = in.halo.value_or(Extent{0, 0, in.blocks.step_h, in.blocks.step_w});
  const Extent both{std::min(have.top, need.origin_h), std::min(have.left, need.origin_w),
                    std::max(have.bottom, need.origin_h + need.grid_h),
                    std::max(have.right, need.origin_w + need.grid_w)};
  const int64_t apart = with_extent(in.blocks, have).positions() + need.positions();
  if (in.halo && with_extent(in.blocks, both).positions() > apart) return;  // a tall and a wide one: a copy is smaller
  in.fill = fill;
  in.halo = both;
}

}  // namespace sparsecpu
