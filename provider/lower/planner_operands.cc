// Operands of elementwise stages and of sums: lane by lane or row-major as the output is, and broadcast to its shape.
#include <algorithm>
#include <cstring>

#include "lower/planner.h"
#include "run/layout_steps.h"

namespace sparsecpu {

// [n, c, 1, 1] or [n, c, 1] next to an image.
bool Planner::is_one_a_channel(const Shape& operand, const Shape& image) {
  const bool images = operand.size() == image.size() && (image.size() == 3 || image.size() == 4);
  return images && operand[0] == image[0] && operand[1] == image[1] &&
         std::all_of(operand.begin() + 2, operand.end(), [](int64_t size) { return size == 1; });
}

// Only what a lane's own vector can be repeated for is repeated by the walk. Everything else that is smaller is copied
// to the output's shape: slower, and right for any shapes.
Planner::Operand Planner::operand_of(int value, int out) {
  const Placed &x = at(value), &y = at(out);
  if (x.shape == y.shape) {
    const LaneTensor lanes = lanes_of(value, y.blocks, y.axes);
    return {lanes, walk_pixels(lanes)};
  }
  if (y.axes == Axes::kImage && is_one_a_channel(x.shape, y.shape)) {
    const LaneTensor lanes = channel_lanes_of(value, y.blocks);
    return {lanes, walk_broadcast(lanes)};
  }
  const LaneTensor lanes = repeated_lanes(value, y.shape, y.blocks, y.axes);
  return {lanes, walk_pixels(lanes)};
}

LaneTensor Planner::repeated_lanes(int value, const Shape& shape, const Geometry& blocks, Axes axes) {
  const TensorRef copy = repeated(value, shape);
  const int64_t channels = axes == Axes::kTokens ? shape.back() : shape[1];
  const LaneTensor lanes = new_tensor(blocks, is_bytes(value) ? ceil_div(channels, 4) : channels);
  add_import(value, copy, lanes,
             TransferPlan(blocks, lanes.position_stride, channels, strides_of(shape, axes), Coverage::kWholeGrid), 0);
  return lanes;
}

TensorRef Planner::dense_operand_of(int value, int out) {
  return at(value).shape == at(out).shape ? dense_of(value) : repeated(value, at(out).shape);
}

// A row-major copy, its elements repeated to this shape.
TensorRef Planner::repeated(int value, const Shape& shape) {
  if (broadcast_shape(at(value).shape, shape) != shape) {
    throw Error("a tensor of shape " + dims_text(at(value).shape) + " does not broadcast to " + dims_text(shape));
  }
  const int64_t element_bytes = is_bytes(value) ? 1 : sizeof(float);
  auto step = std::make_unique<RepeatStep>(shape, at(value).shape, element_bytes);
  step->x = dense_of(value);
  step->y = {new_buffer(elements_of(shape), element_bytes), 0};
  const TensorRef x = step->x, y = step->y;
  RepeatStep& s = add(std::move(step), "repeat", {x.buffer, y.buffer});
  s.layout = LayoutChange::kCopy;
  s.chunks = chunks_for(s.rows(), shape.empty() ? 1 : shape.back());
  return y;
}

// [n, c] (or [n, c, 1, 1]) as one vector a channel and batch group: each lane holds its image's value.
LaneTensor Planner::channel_lanes_of(int value, const Geometry& like) {
  Geometry g;
  g.n = like.n;
  g.h = g.lanes_h = like.lanes_h;
  g.w = g.lanes_w = like.lanes_w;
  g.lanes_n = like.lanes_n;
  const int64_t channels = channels_of(value, Axes::kImage);
  const LaneTensor target = new_tensor(g, vectors_of(value, Axes::kImage));
  const TensorStrides strides{channels, 1, 0, 0};
  add_import(value, dense_of(value), target,
             TransferPlan(g, target.position_stride, channels, strides, Coverage::kWholeGrid), 0);
  return target;
}

// One value for all of `out`, or one a channel of its axes.
Planner::Operand Planner::constant_operand(const ChannelBytes& constant, int out) {
  const auto channels = static_cast<size_t>(channels_of(out, at(out).axes)), count = constant.values.size();
  if (count != 1 && (count != channels || constant.axes != at(out).axes)) {
    throw Error("a constant of shape " + dims_text(constant.dims) + " next to a tensor of shape " +
                dims_text(at(out).shape) + ", which has " + std::to_string(channels) + " channels");
  }
  const uint8_t sign = sign_of(at(out).type);
  LaneTensor lanes;
  lanes.vectors = vectors_of(out, at(out).axes);
  lanes.position_stride = lanes.vectors * kLanes;
  AlignedBuffer expanded(static_cast<size_t>(lanes.position_stride) * 4);
  std::memset(expanded.data(), 0, static_cast<size_t>(lanes.position_stride) * 4);
  for (size_t c = 0; c < channels; ++c) {
    const uint8_t value = constant.values[count == 1 ? 0 : c] ^ sign;
    for (size_t lane = 0; lane < kLanes; ++lane) {
      expanded.as<uint8_t>()[(c / 4 * kLanes + lane) * 4 + c % 4] = value;
    }
  }
  lanes.ref = {constant_buffer(expanded.data()), 0};
  program_->plan_bytes += expanded.bytes();
  program_->expanded.push_back(std::move(expanded));
  return {lanes, Walk{lanes.ref, 0, 0, 0}};
}

}  // namespace sparsecpu
