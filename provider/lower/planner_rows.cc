// Steps of row-major layers: of few tokens, and of what a file declares as single pixels. Where such an image has more
// pixels in a run, the kernel gets channels-last copies: slower, and right for every size.
#include "lower/planner.h"
#include "run/quantized_steps.h"

namespace sparsecpu {
namespace {

TensorStrides channels_last_strides(const Geometry& image, int64_t channels) {
  return {image.h * image.w * channels, 1, image.w * channels, channels};
}

}  // namespace

void Planner::emit_few_rows(const Stage& stage, const LayerPack& pack, const std::optional<Activation>& post) {
  const FewRowsWeights& weights = pack.few_rows->view;
  auto step = std::make_unique<FewRowsStep>();
  step->kernels = &kernels_;
  step->weights = &weights;
  const size_t index = index_of(stage);
  step->x = row_major_of(stage.op.inputs[0], index);
  if (stage.residual >= 0) step->residual = row_major_residual(stage, index);
  step->y = new_row_major(stage.op.output, index);
  step->m = elements_of(at(stage.op.output).shape) / weights.rows;
  step->clamp = stage.clamp;
  step->post = post;
  const int x = step->x.buffer, y = step->y.buffer, r = step->residual ? step->residual->buffer : x;
  FewRowsStep& s = add(std::move(step), weights.columns != nullptr ? "few rows, sparse" : "few rows, dense", {x, y, r});
  s.chunks = chunks_for(ceil_div(weights.rows, kMinChunkRows), kMinChunkRows * weights.k * s.m / 4);
  place_row_major(stage.op.output, s.y, index);
}

void Planner::emit_quantized_few_rows(const Stage& stage, const QuantizedLinear& linear, const PackedQFewRows& packed,
                                      const std::optional<Activation>& post) {
  auto step = std::make_unique<QFewRowsStep>();
  step->kernels = &kernels_;
  step->weights = &packed.view;
  const QuantizedFinish output = finish_of(stage, linear, packed.rows);
  step->finish_with = output;
  const size_t index = index_of(stage);
  step->x = row_major_of(stage.op.inputs[0], index);
  if (stage.residual >= 0) {
    step->residual = row_major_residual(stage, index);
    step->residual_stride = packed.view.rows;
  } else if (stage.sum) {
    step->residual = TensorRef{constant_buffer(stage.sum->constant->values.data()), 0};
  }
  step->y = new_row_major(stage.op.output, index);
  step->m = elements_of(at(stage.op.output).shape) / packed.view.rows;
  step->post = post;
  const int x = step->x.buffer, y = step->y.buffer, r = step->residual ? step->residual->buffer : x;
  QFewRowsStep& s = add(std::move(step), "few rows int8", {x, y, r});
  also_uses(output);
  s.chunks = chunks_for(ceil_div(packed.view.rows, kQuantizedRows), kQuantizedRows * packed.view.k * s.m / 16);
  place_row_major(stage.op.output, s.y, index);
}

TensorRef Planner::row_major_of(int value, size_t stage) {
  return has_pixels(stage) ? channels_last(value, dense_of(value), at(value).shape) : dense_of(value);
}

TensorRef Planner::row_major_residual(const Stage& stage, size_t index) {
  const TensorRef dense = dense_operand_of(stage.residual, stage.op.output);
  return has_pixels(index) ? channels_last(stage.residual, dense, at(stage.op.output).shape) : dense;
}

TensorRef Planner::new_row_major(int value, size_t stage) {
  if (!has_pixels(stage)) return new_dense(value);
  return {new_buffer(elements_of(at(value).shape), is_bytes(value) ? 1 : sizeof(float)), 0};
}

// The lanes of an image that stands channels last in `rows`.
void Planner::place_row_major(int value, TensorRef rows, size_t stage) {
  if (!has_pixels(stage)) return;
  const LaneTensor lanes = new_lanes(value);
  const int64_t channels = channels_of(value, Axes::kImage);
  add_import(value, rows, lanes,
             TransferPlan(lanes.geometry, lanes.position_stride, channels,
                          channels_last_strides(lanes.geometry, channels), Coverage::kWholeGrid),
             at(value).fill);
}

// A copy of a row-major image of this shape, [n, c, h, w] or [n, c, w].
TensorRef Planner::channels_last(int value, TensorRef tensor, const Shape& shape) {
  const Geometry blocks = blocks_of(shape, Axes::kImage);
  const int64_t channels = shape[1];
  const LaneTensor lanes = new_tensor(blocks, is_bytes(value) ? ceil_div(channels, 4) : channels);
  add_import(
      value, tensor, lanes,
      TransferPlan(blocks, lanes.position_stride, channels, strides_of(shape, Axes::kImage), Coverage::kCanonical), 0);
  const TensorRef copy{new_buffer(elements_of(shape), is_bytes(value) ? 1 : sizeof(float)), 0};
  add_export(value, lanes, copy,
             TransferPlan(blocks, lanes.position_stride, channels, channels_last_strides(blocks, channels),
                          Coverage::kCanonical));
  return copy;
}

}  // namespace sparsecpu
