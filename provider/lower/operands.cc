#include "lower/operands.h"

#include <cstring>

#include "lower/arithmetic.h"
#include "ops/dims.h"
#include "run/layout_steps.h"

namespace sparsecpu {
namespace {

// A row-major copy, its elements repeated to this shape.
TensorRef repeated(int value, const Shape& shape, Planner& p) {
  const Placed& v = p.placement.at(value);
  if (broadcast_shape(v.shape, shape) != shape) {
    throw Error("a tensor of shape " + dims_text(v.shape) + " does not broadcast to " + dims_text(shape));
  }
  const int64_t element_bytes = v.is_bytes() ? 1 : sizeof(float);
  auto step = std::make_unique<RepeatStep>(shape, v.shape, element_bytes);
  step->x = p.layouts.dense_of(value);
  step->y = {p.buffers.add(elements_of(shape), element_bytes), 0};
  const TensorRef x = step->x, y = step->y;
  RepeatStep& s = p.emission.add(std::move(step), "repeat", {x.buffer, y.buffer});
  s.layout = LayoutChange::kCopy;
  s.chunks = p.emission.workers().chunks_for(s.rows(), shape.empty() ? 1 : shape.back());
  return y;
}

// [n, c] (or [n, c, 1, 1]) as one vector a channel and batch group: each lane holds its image's value.
LaneTensor channel_lanes_of(int value, const Geometry& like, Planner& p) {
  const Placed& v = p.placement.at(value);
  Geometry g;
  g.n = like.n;
  g.h = g.lanes_h = like.lanes_h;
  g.w = g.lanes_w = like.lanes_w;
  g.lanes_n = like.lanes_n;
  const int64_t channels = v.channels(Axes::kImage);
  const LaneTensor target = p.layouts.new_tensor(g, v.vectors(Axes::kImage));
  const TensorStrides strides{channels, 1, 0, 0};
  p.layouts.add_import(value, p.layouts.dense_of(value), target,
                       TransferPlan(g, target.position_stride, channels, strides, Coverage::kWholeGrid), 0);
  return target;
}

}  // namespace

// Only what a lane's own vector can be repeated for is repeated by the walk. Everything else that is smaller is copied
// to the output's shape: slower, and right for any shapes.
Operand operand_of(int value, int out, Planner& p) {
  const Placed &x = p.placement.at(value), &y = p.placement.at(out);
  if (x.shape == y.shape) {
    const LaneTensor lanes = p.layouts.lanes_of(value, y.blocks, y.axes);
    return {lanes, walk_pixels(lanes)};
  }
  if (y.axes == Axes::kImage && is_one_a_channel(x.shape, y.shape)) {
    const LaneTensor lanes = channel_lanes_of(value, y.blocks, p);
    return {lanes, walk_broadcast(lanes)};
  }
  const LaneTensor lanes = repeated_lanes(value, y.shape, y.blocks, y.axes, p);
  return {lanes, walk_pixels(lanes)};
}

LaneTensor repeated_lanes(int value, const Shape& shape, const Geometry& blocks, Axes axes, Planner& p) {
  const TensorRef copy = repeated(value, shape, p);
  const int64_t channels = axes == Axes::kTokens ? shape.back() : shape[1];
  const LaneTensor lanes = p.layouts.new_tensor(blocks, p.placement.is_bytes(value) ? ceil_div(channels, 4) : channels);
  p.layouts.add_import(
      value, copy, lanes,
      TransferPlan(blocks, lanes.position_stride, channels, strides_of(shape, axes), Coverage::kWholeGrid), 0);
  return lanes;
}

TensorRef dense_operand_of(int value, int out, Planner& p) {
  const Shape& shape = p.placement.shape(out);
  return p.placement.shape(value) == shape ? p.layouts.dense_of(value) : repeated(value, shape, p);
}

Operand constant_operand(const ChannelBytes& constant, int out, Planner& p) {
  const Placed& y = p.placement.at(out);
  const auto channels = static_cast<size_t>(y.channels(y.axes)), count = constant.values.size();
  if (count != 1 && (count != channels || constant.axes != y.axes)) {
    throw Error("a constant of shape " + dims_text(constant.dims) + " next to a tensor of shape " + dims_text(y.shape) +
                ", which has " + std::to_string(channels) + " channels");
  }
  const uint8_t sign = sign_of(y.type);
  LaneTensor lanes;
  lanes.vectors = y.vectors(y.axes);
  lanes.position_stride = lanes.vectors * kLanes;
  AlignedBuffer expanded(static_cast<size_t>(lanes.position_stride) * 4);
  std::memset(expanded.data(), 0, static_cast<size_t>(lanes.position_stride) * 4);
  for (size_t c = 0; c < channels; ++c) {
    const uint8_t value = constant.values[count == 1 ? 0 : c] ^ sign;
    for (size_t lane = 0; lane < kLanes; ++lane) {
      expanded.as<uint8_t>()[(c / 4 * kLanes + lane) * 4 + c % 4] = value;
    }
  }
  lanes.ref = {p.buffers.constant(std::move(expanded)), 0};
  return {lanes, Walk{lanes.ref, 0, 0, 0}};
}

}  // namespace sparsecpu
