// First pass: shapes, forms and halos.
#include <algorithm>

#include "lower/planner.h"

namespace sparsecpu {

int64_t Planner::token_count(const Shape& shape) {
  return shape.empty() ? 1 : elements_of(std::span(shape).first(shape.size() - 1));
}

// Tokens: lanes are 16 consecutive tokens. Images: the split with the fewest positions.
Geometry Planner::blocks_of(const Shape& shape, Axes axes) const {
  if (axes == Axes::kTokens) {
    Geometry g;
    g.n = token_count(shape);
    g.lanes_n = kLanes;
    return g;
  }
  const auto [h, w] = image_size(shape);
  return choose_geometry(shape[0], h, w);
}

bool Planner::same_blocks(const Geometry& a, const Geometry& b) {
  return a.n == b.n && a.lanes_n == b.lanes_n && a.lanes_h == b.lanes_h && a.lanes_w == b.lanes_w &&
         (a.lanes_h == 1 || a.step_h == b.step_h) && (a.lanes_w == 1 || a.step_w == b.step_w);
}

bool Planner::covers(const Geometry& have, const Geometry& need) {
  return have.origin_h <= need.origin_h && have.origin_w <= need.origin_w &&
         have.origin_h + have.grid_h >= need.origin_h + need.grid_h &&
         have.origin_w + have.grid_w >= need.origin_w + need.grid_w;
}

Geometry Planner::with_extent(const Geometry& blocks, const Extent& extent) {
  Geometry g = blocks;
  g.origin_h = extent.top;
  g.origin_w = extent.left;
  g.grid_h = extent.bottom - extent.top;
  g.grid_w = extent.right - extent.left;
  return g;
}

// Around a pooled image: what no maximum takes, or what adds nothing to a sum. Bytes are stored unsigned.
FillBits Planner::pool_fill(const Pool& pool, ElementType type) {
  if (pool.bytes) return fill_of_byte(pool.bytes->x.stored_zero_point());
  if (is_bytes(type)) return fill_of_byte(0);
  return fill_of(pool.kind == PoolKind::kMax ? std::numeric_limits<float>::lowest() : 0.0f);  // as onnxruntime begins
}

bool Planner::is_empty(const Shape& shape) { return std::ranges::find(shape, 0) != shape.end(); }

void Planner::place_lanes(Placed& out, Axes axes) {
  out.lanes = true;
  out.axes = axes;
  out.blocks = blocks_of(out.shape, axes);
}

bool Planner::runs_row_major(size_t stage) const {
  const LayerPack& pack = *packs_[stage];
  if (!pack.few_rows && !pack.qfew_rows) return false;
  if (!pack.has_lane_form()) return true;
  const Shape& shape = at(stages_[stage].op.output).shape;
  const LinearShape linear = *linear_shape(stages_[stage].op.data);
  const int64_t rows = elements_of(shape) / linear.out_channels;
  const bool sparse = pack.few_rows && pack.few_rows->view.columns != nullptr;
  return !has_pixels(stage) && rows < row_major_below(pack.qfew_rows.has_value(), sparse);
}

bool Planner::has_pixels(size_t stage) const {
  const Shape& shape = at(stages_[stage].op.output).shape;
  return linear_shape(stages_[stage].op.data)->axes == Axes::kImage &&
         elements_of(std::span(shape).subspan(std::min<size_t>(2, shape.size()))) > 1;
}

void Planner::demand_window(int value, const Placed& out, const Window& window, const WindowExtent& extent,
                            FillBits fill) {
  Placed& in = at(value);
  if (!in.lanes || in.axes != Axes::kImage) return;
  const WindowLayout layout = window_layout(in.shape, out.blocks, window, extent);
  const Geometry& need = layout.aligned();
  if (layout.gathers() || !same_blocks(need, in.blocks)) return;
  const bool inside = need.origin_h >= 0 && need.origin_w >= 0 && need.origin_h + need.grid_h <= in.blocks.step_h &&
                      need.origin_w + need.grid_w <= in.blocks.step_w;
  if (inside && window.kernel[0] * window.kernel[1] == 1) return;
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

void Planner::form_of_linear(size_t stage, Placed& out) {
  const Op& op = stages_[stage].op;
  const LinearShape linear = *linear_shape(op.data);
  const auto* quantized = std::get_if<QuantizedLinear>(&op.data);
  const FillBits fill = quantized != nullptr ? fill_of_byte(quantized->x.stored_zero_point()) : fill_of(0.0f);
  if (runs_row_major(stage)) {
    if (has_pixels(stage)) place_lanes(out, Axes::kImage);  // comes channels last
    return;
  }
  place_lanes(out, linear.axes);
  if (linear.axes != Axes::kImage) return;
  const WindowExtent extent = window_extent(linear.window, image_size(at(op.inputs[0]).shape));
  demand_window(op.inputs[0], out, linear.window, extent, fill);
}

void Planner::form_of_binary(const Op& op, Placed& out) {
  const Placed& a = at(op.inputs[0]);
  const Placed& b = at(op.inputs[1]);
  const Placed* home = a.lanes && a.shape == out.shape ? &a : b.lanes && b.shape == out.shape ? &b : nullptr;
  if (home != nullptr) {
    out.lanes = true;
    out.axes = home->axes;
    out.blocks = home->blocks;
  } else if (is_one_a_channel(a.shape, b.shape) || is_one_a_channel(b.shape, a.shape)) {
    place_lanes(out, Axes::kImage);
  }
}

void Planner::form_of_byte_binary(const Op& op, const std::optional<ChannelBytes>& constant, Placed& out) {
  if (constant) {
    same_form(at(op.inputs[0]), out);
  } else {
    form_of_binary(op, out);
  }
  if (constant && constant->values.size() > 1) {
    if (!out.lanes || out.axes != constant->axes) place_lanes(out, constant->axes);
  } else if (!out.lanes) {
    place_lanes(out, out.shape.size() > 2 && out.shape.size() <= 4 ? Axes::kImage : Axes::kTokens);
  }
}

// Lane-blocked tokens stay so when only the leading axes are regrouped.
void Planner::form_of_reshape(const Op& op, Placed& out) {
  const Placed& in = at(op.inputs[0]);
  const bool relabel =
      in.lanes && in.axes == Axes::kTokens && !out.shape.empty() && out.shape.back() == in.shape.back();
  if (!relabel) return;
  out.lanes = true;
  out.axes = Axes::kTokens;
  out.blocks = in.blocks;
}

void Planner::same_form(const Placed& in, Placed& out) {
  out.lanes = in.lanes;
  out.axes = in.axes;
  out.blocks = in.blocks;
}

// What has no elements stays row-major: nothing is there to be laid out.
void Planner::set_form(size_t stage) {
  const Op& op = stages_[stage].op;
  Placed& out = at(op.output);
  if (is_empty(out.shape)) return;
  const Placed& in = at(op.inputs[0]);
  if (linear_shape(op.data)) {
    form_of_linear(stage, out);
  } else if (std::holds_alternative<Unary>(op.data) || std::holds_alternative<Quantize>(op.data) ||
             std::holds_alternative<Lookup>(op.data)) {
    same_form(in, out);
  } else if (std::holds_alternative<Dequantize>(op.data)) {
    if (out.region_output == kNone) same_form(in, out);  // what leaves the region leaves as bytes first
  } else if (std::holds_alternative<Binary>(op.data)) {
    form_of_binary(op, out);
  } else if (const auto* add = std::get_if<QuantizedAdd>(&op.data)) {
    form_of_byte_binary(op, add->constant, out);
  } else if (const auto* mul = std::get_if<QuantizedMul>(&op.data)) {
    form_of_byte_binary(op, mul->constant, out);
  } else if (const auto* affine = std::get_if<Affine>(&op.data)) {
    const bool scalar = affine->scale.size() == 1 && affine->shift.size() == 1;
    place_lanes(out, scalar && in.lanes ? in.axes : affine->axes);
  } else if (const auto* pool = std::get_if<Pool>(&op.data)) {
    place_lanes(out, Axes::kImage);
    const WindowExtent extent = window_extent(pool->window, image_size(in.shape));
    demand_window(op.inputs[0], out, pool->window, extent, pool_fill(*pool, in.type));
  } else if (const auto* concat = std::get_if<Concat>(&op.data)) {
    place_lanes(out, concat->axes);
  } else if (const auto* split = std::get_if<Split>(&op.data)) {
    place_lanes(out, split->axes);
  } else if (std::holds_alternative<LayerNorm>(op.data)) {
    form_of_norm(in, out);
  } else if (attention_of(op.data) != nullptr) {
    place_lanes(out, Axes::kTokens);
  } else if (std::holds_alternative<Reshape>(op.data)) {
    form_of_reshape(op, out);
  } else if (std::holds_alternative<Pad>(op.data) || std::holds_alternative<Resize>(op.data)) {
    place_lanes(out, Axes::kImage);
  }
}

void Planner::find_shapes() {
  for (size_t i = 0; i < part_.inputs.size(); ++i) at(part_.inputs[i]).shape = part_.input_shapes[i];
  for (int index : ops_of(stages_, part_.begin, part_.end)) {
    const Op& op = graph_.ops[static_cast<size_t>(index)];
    std::vector<Shape> shapes;
    for (int input : op.inputs) shapes.push_back(at(input).shape);
    at(op.output).shape = output_shape(op, shapes);
  }
}

void Planner::find_forms() {
  for (size_t s = part_.begin; s < part_.end; ++s) {
    const auto use = [&](int value) {
      at(value).last_use = static_cast<int>(s);
      ++at(value).uses;
    };
    for (int input : stages_[s].op.inputs) use(input);
    if (stages_[s].residual >= 0) use(stages_[s].residual);
  }
  for (size_t s = part_.begin; s < part_.end; ++s) {
    const Stage& stage = stages_[s];
    const Shape &own = at(graph_.ops[static_cast<size_t>(stage.op_indices.front())].output).shape,
                &sum = at(stage.op.output).shape;
    if (linear_shape(stage.op.data) && own != sum) {
      throw Error("node '" + stage.op.name + "': its output of shape " + dims_text(own) + " is added to one of shape " +
                  dims_text(sum) + "; equal shapes are expected (the model declares neither)");
    }
  }
  for (size_t s = part_.begin; s < part_.end; ++s) set_form(s);
}

}  // namespace sparsecpu
