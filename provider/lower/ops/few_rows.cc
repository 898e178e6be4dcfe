#include "lower/ops/few_rows.h"

#include "lower/arithmetic.h"
#include "lower/operands.h"
#include "lower/ops/layer_operands.h"

namespace sparsecpu {
namespace {

TensorStrides channels_last_strides(const Geometry& image, int64_t channels) {
  return {image.h * image.w * channels, 1, image.w * channels, channels};
}

// A copy of a row-major image of this shape, [n, c, h, w] or [n, c, w].
TensorRef channels_last(int value, TensorRef tensor, const Shape& shape, Planner& p) {
  const Geometry blocks = blocks_of(shape, Axes::kImage);
  const int64_t channels = shape[1];
  const bool bytes = p.placement.is_bytes(value);
  const LaneTensor lanes = p.layouts.new_tensor(blocks, bytes ? ceil_div(channels, 4) : channels);
  p.layouts.add_import(
      value, tensor, lanes,
      TransferPlan(blocks, lanes.position_stride, channels, strides_of(shape, Axes::kImage), Coverage::kCanonical), 0);
  const TensorRef copy{p.buffers.add(elements_of(shape), bytes ? 1 : sizeof(float)), 0};
  p.layouts.add_export(value, lanes, copy,
                       TransferPlan(blocks, lanes.position_stride, channels, channels_last_strides(blocks, channels),
                                    Coverage::kCanonical));
  return copy;
}

}  // namespace

FewRowsOperands few_rows_operands(const Stage& stage, Planner& p) {
  const int in = stage.op.inputs[0];
  const Placed& out = p.placement.at(stage.op.output);
  const bool pixels = has_pixels(stage, p.placement);
  const int64_t elements = elements_of(out.shape);
  FewRowsOperands operands;
  operands.m = elements / stage.op.layer()->out_channels;
  operands.x = p.layouts.dense_of(in);
  if (pixels) operands.x = channels_last(in, operands.x, p.placement.shape(in), p);
  if (stage.residual >= 0) {
    operands.residual = dense_operand_of(stage.residual, stage.op.output, p);
    if (pixels) operands.residual = channels_last(stage.residual, *operands.residual, out.shape, p);
  } else if (stage.sum) {
    operands.residual = TensorRef{p.buffers.constant(stage.sum->constant->values.data()), 0};
  }
  operands.y = pixels ? TensorRef{p.buffers.add(elements, out.is_bytes() ? 1 : sizeof(float)), 0}
                      : p.layouts.new_dense(stage.op.output);
  return operands;
}

void place_few_rows(const Stage& stage, TensorRef y, Planner& p) {
  if (!has_pixels(stage, p.placement)) return;
  const Placed& out = p.placement.at(stage.op.output);
  const LaneTensor lanes = p.layouts.new_lanes(stage.op.output);
  const int64_t channels = out.channels(Axes::kImage);
  p.layouts.add_import(stage.op.output, y, lanes,
                       TransferPlan(lanes.geometry, lanes.position_stride, channels,
                                    channels_last_strides(lanes.geometry, channels), Coverage::kWholeGrid),
                       out.fill);
}

}  // namespace sparsecpu
