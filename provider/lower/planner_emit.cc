// Second pass: the steps of each kind of stage (those of linear layers are in planner_linear.cc).
#include <algorithm>
#include <cmath>

#include "lower/planner.h"
#include "run/pointwise_steps.h"
#include "run/window_steps.h"

namespace sparsecpu {
namespace {

std::optional<Activation> activation_of(const std::optional<Unary>& unary) {
  if (!unary) return {};
  return Activation{unary->kind, unary->a, unary->b};
}

int64_t element_count(const Shape& shape) {
  int64_t n = 1;
  for (int64_t d : shape) n = checked_mul(n, d);
  return n;
}

int64_t image_rows(const Shape& shape) { return shape.size() > 3 ? shape[2] : 1; }
int64_t image_columns(const Shape& shape) { return shape.size() > 2 ? shape.back() : 1; }

// Tables of a nearest-neighbour resize along one axis, as ONNX defines them.
std::vector<int64_t> resize_table(const Resize& resize, size_t axis, int64_t in, int64_t out) {
  const double scale = resize.sizes[axis] > 0 ? static_cast<double>(out) / static_cast<double>(in) : resize.scale[axis];
  std::vector<int64_t> table;
  for (int64_t o = 0; o < out; ++o) {
    const double x = static_cast<double>(o);
    double at = x / scale;
    using Coordinate = Resize::Coordinate;
    if (resize.coordinate == Coordinate::kHalfPixel) at = (x + 0.5) / scale - 0.5;
    if (resize.coordinate == Coordinate::kPytorchHalfPixel) at = out > 1 ? (x + 0.5) / scale - 0.5 : 0.0;
    if (resize.coordinate == Coordinate::kAlignCorners) {
      at = out > 1 ? x * static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0.0;
    }
    double nearest = 0;
    switch (resize.nearest) {
      case Resize::Nearest::kRoundPreferFloor:
        nearest = std::ceil(at - 0.5);
        break;
      case Resize::Nearest::kRoundPreferCeil:
        nearest = std::floor(at + 0.5);
        break;
      case Resize::Nearest::kFloor:
        nearest = std::floor(at);
        break;
      case Resize::Nearest::kCeil:
        nearest = std::ceil(at);
        break;
    }
    table.push_back(std::clamp<int64_t>(static_cast<int64_t>(nearest), 0, in - 1));
  }
  return table;
}

}  // namespace

void Planner::emit_stage(size_t index) {
  const Stage& stage = stages_[index];
  std::visit(
      [&](const auto& data) {
        if constexpr (std::is_same_v<std::decay_t<decltype(data)>, Linear>) {
          emit(stage, data, packs_[index]);
        } else if constexpr (requires { emit(stage, data); }) {
          emit(stage, data);
        } else {
          throw Error("node '" + stage.op.name + "': quantized operators are not planned");
        }
      },
      stage.op.data);
  fill_halo(stage.op.output);
}

void Planner::emit(const Stage& stage, const Unary& unary) {
  const int in = stage.op.inputs[0];
  const int out = stage.op.output;
  const Activation function{unary.kind, unary.a, unary.b};
  if (!at(out).lanes) {
    auto step = std::make_unique<FlatStep>();
    step->what = FlatStep::Kind::kUnary;
    step->kernels = &kernels_;
    step->count = element_count(at(out).shape);
    step->x = dense_of(in);
    step->y = new_dense(out);
    step->function = function;
    FlatStep& s = add(std::move(step), "unary", {step->x.buffer, step->y.buffer});
    s.chunks = chunks_for(s.count / kLanes + 1, kLanes);
    return;
  }
  const LaneTensor x = lanes_of(in, at(out).blocks, at(out).axes);
  const LaneTensor y = new_lanes(out);
  auto step = std::make_unique<LaneUnaryStep>();
  step->function = function;
  add_position_step(std::move(step), "unary", x, y);
}

void Planner::emit(const Stage& stage, const Binary& binary) {
  emit_binary(stage.op.inputs[0], stage.op.inputs[1], stage.op.output, binary.kind, activation_of(stage.post));
}

// The full-shaped operand leads; the other has its shape or one value an image and channel.
void Planner::emit_binary(int first, int second, int output, BinaryKind kind, std::optional<Activation> post) {
  if (at(first).shape != at(output).shape && kind != BinaryKind::kSub) std::swap(first, second);
  const bool same_shape = at(first).shape == at(second).shape;
  if (!at(output).lanes) {
    auto step = std::make_unique<FlatStep>();
    step->what = FlatStep::Kind::kBinary;
    step->kernels = &kernels_;
    step->count = element_count(at(output).shape);
    step->x = dense_of(first);
    step->second = dense_of(second);
    step->y = new_dense(output);
    step->binary = kind;
    step->function = post;
    const int a = step->x.buffer, b = step->second.buffer, y = step->y.buffer;
    FlatStep& s = add(std::move(step), "binary", {a, b, y});
    s.chunks = chunks_for(s.count / kLanes + 1, kLanes);
    return;
  }
  const Placed& out = at(output);
  const LaneTensor x = lanes_of(first, out.blocks, out.axes);
  const LaneTensor other = same_shape ? lanes_of(second, out.blocks, out.axes) : channel_lanes_of(second, out.blocks);
  const LaneTensor y = new_lanes(output);
  auto step = std::make_unique<LaneBinaryStep>();
  step->kind = kind;
  step->post = post;
  step->second = same_shape ? walk_pixels(other) : walk_broadcast(other);
  add_position_step(std::move(step), "binary", x, y, other.ref.buffer);
}

void Planner::emit(const Stage& stage, const Affine& affine) {
  const Placed& out = at(stage.op.output);
  const LaneTensor x = lanes_of(stage.op.inputs[0], out.blocks, out.axes);
  const LaneTensor y = new_lanes(stage.op.output);
  auto step = std::make_unique<LaneAffineStep>();
  const auto widen = [&](const std::vector<float>& v) {
    return v.size() == 1 ? std::vector<float>(static_cast<size_t>(x.channels), v[0]) : v;
  };
  step->scale = widen(affine.scale);
  step->shift = widen(affine.shift);
  add_position_step(std::move(step), "affine", x, y);
}

void Planner::emit(const Stage& stage, const Pool& pool) {
  const int in = stage.op.inputs[0];
  const Placed& out = at(stage.op.output);
  const int64_t h = image_rows(at(in).shape), w = image_columns(at(in).shape);
  const WindowExtent extent = window_extent(pool.window, h, w);
  const bool average = pool.kind == PoolKind::kAverage;
  const WindowInput x =
      window_of(in, out, pool.window, extent, average ? 0.0f : -std::numeric_limits<float>::infinity());
  const LaneTensor y = new_lanes(stage.op.output);
  auto step = std::make_unique<PoolStep>();
  step->kernels = &kernels_;
  step->positions = pixels_of(y.geometry);
  step->channels = y.channels;
  step->x = x.first;
  step->y = walk_pixels(y);
  step->average = average;
  step->geometry = out.blocks;
  for (int64_t i = 0; i < pool.window.kernel[0]; ++i) {
    for (int64_t j = 0; j < pool.window.kernel[1]; ++j) step->taps.push_back(i * x.row_step + j * x.column_step);
  }
  if (average) {
    // Pixels under the window along one axis: inside the image, or inside the padded image.
    const auto covered = [&](int axis, int64_t size, int lanes, int64_t lane_step) {
      std::vector<float> counts;
      const int64_t before = extent.pads[static_cast<size_t>(axis)], after = extent.pads[static_cast<size_t>(axis) + 2];
      const int64_t low = pool.count_include_pad ? -before : 0;
      const int64_t high = pool.count_include_pad ? size + after : size;
      for (int64_t o = 0; o < lanes * lane_step; ++o) {
        int64_t n = 0;
        for (int64_t k = 0; k < pool.window.kernel[static_cast<size_t>(axis)]; ++k) {
          const int64_t pixel = o * pool.window.stride[static_cast<size_t>(axis)] - before +
                                k * pool.window.dilation[static_cast<size_t>(axis)];
          n += pixel >= low && pixel < high;
        }
        counts.push_back(static_cast<float>(n));
      }
      return counts;
    };
    step->rows_covered = covered(0, h, out.blocks.lanes_h, out.blocks.step_h);
    step->columns_covered = covered(1, w, out.blocks.lanes_w, out.blocks.step_w);
  }
  PoolStep& s = add(std::move(step), average ? "average pool" : "max pool", {x.tensor.ref.buffer, y.ref.buffer});
  s.chunks = chunks_for(s.positions.count(), y.channels * kLanes * static_cast<int64_t>(s.taps.size()));
}

void Planner::emit(const Stage& stage, const GlobalAverage&) {
  const int in = stage.op.inputs[0];
  const Geometry blocks = at(in).lanes && at(in).axes == Axes::kImage ? at(in).blocks : blocks_of(at(in).shape, Axes::kImage);
  const LaneTensor x = lanes_of(in, blocks, Axes::kImage);
  const TensorRef y = new_dense(stage.op.output);
  auto step = std::make_unique<GlobalAverageStep>();
  step->kernels = &kernels_;
  step->x = x;
  step->y = y;
  const Geometry& g = x.geometry;
  for (int64_t r = 0; r < g.step_h; ++r) {
    for (int64_t c = 0; c < g.step_w; ++c) {
      uint16_t mask = 0;
      for (int i = 0; i < g.lanes_n; ++i) {
        for (int bi = 0; bi < g.lanes_h; ++bi) {
          for (int bj = 0; bj < g.lanes_w; ++bj) {
            if (bi * g.step_h + r < g.h && bj * g.step_w + c < g.w) mask |= static_cast<uint16_t>(1u << g.lane(i, bi, bj));
          }
        }
      }
      step->masks.push_back(mask);
      step->offsets.push_back((r - g.origin_h) * x.row_stride() + (c - g.origin_w) * x.position_stride);
    }
  }
  GlobalAverageStep& s = add(std::move(step), "global average", {x.ref.buffer, y.buffer});
  s.chunks = chunks_for(ceil_div(x.channels, 16), 16 * kLanes * g.positions() * g.groups());
}

void Planner::emit(const Stage& stage, const Pad& pad) {
  PixelMap map;
  map.rows.shift = -pad.pads[0];
  map.columns.shift = -pad.pads[1];
  emit_relayout(stage, map, pad.value);
}

void Planner::emit(const Stage& stage, const Resize& resize) {
  const Shape& in = at(stage.op.inputs[0]).shape;
  const Shape& out = at(stage.op.output).shape;
  PixelMap map;
  map.rows.table = resize_table(resize, 0, image_rows(in), image_rows(out));
  map.columns.table = resize_table(resize, 1, image_columns(in), image_columns(out));
  emit_relayout(stage, map, 0.0f);
}

void Planner::emit_relayout(const Stage& stage, const PixelMap& map, float fill) {
  const int in = stage.op.inputs[0];
  const Geometry blocks =
      at(in).lanes && at(in).axes == Axes::kImage ? at(in).blocks : blocks_of(at(in).shape, Axes::kImage);
  const LaneTensor source = lanes_of(in, blocks, Axes::kImage);
  permute_into(source, new_lanes(stage.op.output), map, fill);
}

void Planner::emit(const Stage& stage, const Concat&) {
  const Placed& out = at(stage.op.output);
  std::vector<LaneTensor> parts;
  for (int input : stage.op.inputs) parts.push_back(lanes_of(input, out.blocks, out.axes));
  const LaneTensor whole = new_lanes(stage.op.output);
  int64_t channel = 0;
  for (const LaneTensor& part : parts) {
    LaneTensor target = whole;
    target.ref.offset += channel * kLanes;
    target.channels = part.channels;
    add_position_step(std::make_unique<LaneCopyStep>(), "concat", part, target);
    channel += part.channels;
  }
}

void Planner::emit(const Stage& stage, const Split& split) {
  const Placed& out = at(stage.op.output);
  LaneTensor source = lanes_of(stage.op.inputs[0], out.blocks, out.axes);
  source.ref.offset += split.begin * kLanes;
  source.channels = split.end - split.begin;
  add_position_step(std::make_unique<LaneCopyStep>(), "split", source, new_lanes(stage.op.output));
}

void Planner::emit(const Stage& stage, const Reshape&) {
  const int in = stage.op.inputs[0];
  Placed& out = at(stage.op.output);
  out.shared = at(in).shared = true;
  if (!out.lanes) {
    out.dense_buffer = dense_of(in).buffer;
    return;
  }
  const LaneTensor same = lanes_of(in, out.blocks, out.axes);
  out.tensors = {same};
  out.tensor_axes = {out.axes};
}

void Planner::emit_outputs() {
  for (int value : graph_.outputs) {
    const TensorRef made = dense_of(value);
    const BufferPlace& place = buffers_[static_cast<size_t>(made.buffer)].place;
    if (place.kind == BufferPlace::Kind::kOutput && place.index == static_cast<size_t>(at(value).region_output)) continue;
    auto step = std::make_unique<FlatStep>();
    step->count = element_count(at(value).shape);
    step->x = made;
    step->y = {fixed_buffer(BufferPlace::Kind::kOutput, static_cast<size_t>(at(value).region_output)), 0};
    FlatStep& s = add(std::move(step), "copy", {made.buffer});
    s.chunks = chunks_for(s.count / kLanes + 1, kLanes);
  }
}

}  // namespace sparsecpu
