#include "lower/ops/quantized_linear.h"

#include <algorithm>

#include "lower/ops/few_rows.h"
#include "lower/parameters.h"
#include "lower/quantized_sum.h"
#include "run/quantized_steps.h"

namespace sparsecpu {
namespace {

// Multipliers and bias of a layer whose input's scale and zero point are known only now.
void scale_dynamically(TensorRef quantization, const QuantizedRows& rows, QuantizedFinish* finish, Planner& p) {
  auto step = std::make_unique<DynamicScaleStep>();
  step->multiplier = rows.multiplier.data();
  step->bias = rows.bias.data();
  step->row_sum = rows.row_sum.data();
  step->rows = static_cast<int64_t>(rows.bias.size());
  step->quantization = quantization;
  step->run_multiplier = {p.buffers.add(step->rows, sizeof(float)), 0};
  step->run_bias = {p.buffers.add(step->rows, sizeof(int32_t)), 0};
  finish->run_multiplier = step->run_multiplier;
  finish->run_bias = step->run_bias;
  const int m = step->run_multiplier.buffer, b = step->run_bias.buffer;
  p.emission.add(std::move(step), "dynamic scale", {quantization.buffer, m, b});
}

// What follows the sums.
QuantizedFinish finish_of(const Stage& stage, const QuantizedRows& rows, Planner& p) {
  const QuantizedLinear& linear = std::get<QuantizedLinear>(stage.op.data);
  QuantizedFinish finish;
  finish.output.bias = rows.bias.data();
  finish.output.multiplier = rows.multiplier.data();
  finish.table = stage.table;
  if (linear.output == QuantizedLinear::Output::kFloat) {
    const std::vector<float>& bias = stage.pack->float_bias;
    finish.output.form = QuantizedOutput::Form::kFloats;
    finish.output.float_bias = bias.empty() ? nullptr : bias.data();
    finish.output.clamp = stage.clamp;
  } else {
    finish.output.zero_point = linear.y.stored_zero_point();
  }
  if (stage.sum) {
    const Shape& product = p.placement.shape(stage.op.output);
    const Shape& residual = stage.residual >= 0 ? p.placement.shape(stage.residual) : product;
    const bool exchange =
        stage.residual_is_a ? exchanges(*stage.sum, residual, product) : exchanges(*stage.sum, product, residual);
    finish.sum = sum_of(*stage.sum, exchange);
    finish.output.residual_is_a = stage.residual_is_a != exchange;
  }
  if (linear.dynamic_input) {
    scale_dynamically(*p.placement.at(stage.op.inputs[0]).quantization, rows, &finish, p);
  }
  return finish;
}

}  // namespace

std::unique_ptr<QDepthwiseStep> make_step(const PackedQDepthwise& packed, const Stage& stage,
                                          const LayerOperands& operands, Planner& p) {
  const int64_t groups = ceil_div(operands.shape.in_channels, 4);
  auto step = std::make_unique<QDepthwiseStep>();
  set_weights(*step, packed, p.emission.kernels().quantized->depthwise_tile, groups, 4);
  step->finish_with = finish_of(stage, packed.rows, p);
  step->tap_offsets = operands.x.taps;
  step->work_per_position = groups * operands.shape.taps;
  return step;
}

std::unique_ptr<QDenseStep> make_step(const PackedQDense& packed, const Stage& stage, const LayerOperands& operands,
                                      Planner& p) {
  const LinearShape& shape = operands.shape;
  const int64_t groups = ceil_div(shape.in_channels, 4);
  auto step = std::make_unique<QDenseStep>();
  set_weights(*step, packed, p.emission.kernels().quantized->dense_tile, packed.view.blocks(), kQuantizedRows);
  step->finish_with = finish_of(stage, packed.rows, p);
  step->offsets = dense_offsets(operands.x, groups);
  step->work_per_position = shape.out_channels * shape.taps * groups;
  return step;
}

std::unique_ptr<QSpmmStep> make_step(const PackedQSpmm& packed, const Stage& stage, const LayerOperands& operands,
                                     Planner& p) {
  auto step = std::make_unique<QSpmmStep>();
  set_weights(*step, packed, p.emission.kernels().quantized->spmm_tile, packed.view.blocks(), kQuantizedRows);
  step->finish_with = finish_of(stage, packed.rows, p);
  step->chunk_base = chunk_bases(packed.origins, operands, 4);
  step->work_per_position = packed.groups;
  return step;
}

std::unique_ptr<QJitStep> make_step(const PackedQJit& packed, const Stage& stage, const LayerOperands& operands,
                                    Planner& p) {
  auto step = std::make_unique<QJitStep>();
  set_code(*step, packed.code, operands);
  step->tile = std::min(step->tile, QJitStep::kMaxTile);
  step->packed = &packed;
  step->finish_with = finish_of(stage, packed.rows, p);
  const JitFinishForm form = finish_form(stage, std::get<QuantizedLinear>(stage.op.data));
  step->finishes = packed.form != JitFinishForm() && packed.form == form &&
                   step->finish_with.output.residual_is_a == stage.residual_is_a;
  return step;
}

void emit_few_rows(const PackedQFewRows& packed, const char* kernel, const Stage& stage, Planner& p) {
  const QFewRowsWeights& weights = packed.view;
  const QuantizedFinish finish = finish_of(stage, packed.rows, p);
  const FewRowsOperands operands = few_rows_operands(stage, p);
  auto step = std::make_unique<QFewRowsStep>();
  step->kernels = &p.emission.kernels();
  step->weights = &weights;
  step->finish_with = finish;
  step->m = operands.m;
  step->x = operands.x;
  step->y = operands.y;
  step->residual = operands.residual;
  if (stage.residual >= 0) step->residual_stride = weights.rows;
  step->post = activation_of(stage.post);
  QFewRowsStep& s =
      p.emission.add(std::move(step), kernel, {operands.x.buffer, operands.y.buffer, operands.residual_buffer()});
  also_uses(finish, p);
  s.chunks =
      p.emission.workers().chunks_for(ceil_div(weights.rows, kQuantizedRows), kQuantizedRows * weights.k * s.m / 16);
  place_few_rows(stage, operands.y, p);
}

void also_uses(const QuantizedFinish& finish, Planner& p) {
  if (!finish.run_bias) return;
  p.emission.also_uses(*finish.run_bias);
  p.emission.also_uses(*finish.run_multiplier);
}

}  // namespace sparsecpu
