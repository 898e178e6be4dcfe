#include "lower/ops/quantized_linear.h"

#include <algorithm>

#include "lower/ops/few_rows.h"
#include "lower/ops/layer.h"
#include "lower/parameters.h"
#include "lower/quantized_sum.h"
#include "run/quantized_steps.h"

namespace sparsecpu {
namespace {

FillBits border_of(const QuantizedLinear& linear) { return fill_of_byte(linear.x.stored_zero_point()); }

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

// The run's own scales, by the step that was added last.
void also_uses(const QuantizedFinish& output, Planner& p) {
  if (!output.run_bias) return;
  p.emission.also_uses(*output.run_bias);
  p.emission.also_uses(*output.run_multiplier);
}

// What follows the sums.
QuantizedFinish finish_of(const Stage& stage, const QuantizedLinear& linear, const QuantizedRows& rows, Planner& p) {
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

// With a stretch behind it, the layer's bytes become scratch; the stretch's result is what the last of its stages
// computes.
void place_result(const Stage& stage, LayerOperands* operands, Planner& p) {
  const Stretch& stretch = p.stretches.after(p.emission.stage());
  if (stretch.stages.empty()) return place_output(stage, operands, p);
  const int out = stretch.output;
  const Placed& bytes = p.placement.at(stage.op.output);
  operands->y = p.layouts.new_tensor(bytes.home_geometry(), bytes.vectors(Axes::kTokens));
  operands->tail = stretch.tail;
  if (stretch.residual >= 0) {
    const LaneTensor residual = p.layouts.lanes_of(stretch.residual, p.placement.at(out).blocks, Axes::kTokens);
    operands->tail->residual = walk_pixels(residual);
    operands->more_buffers.push_back(residual.ref.buffer);
  }
  const LaneTensor y = p.layouts.new_lanes(out);
  operands->tail->y = walk_pixels(y);
  operands->more_buffers.push_back(y.ref.buffer);
}

void emit_jit(const Stage& stage, const QuantizedLinear& linear, const PackedQJit& packed,
              const LayerOperands& operands, Planner& p) {
  auto step = std::make_unique<QJitStep>();
  set_code(*step, linear.window, packed.code, operands);
  step->tile = std::min(step->tile, QJitStep::kMaxTile);
  step->packed = &packed;
  const QuantizedFinish output = finish_of(stage, linear, packed.rows, p);
  step->finish_with = output;
  step->finishes = packed.form != JitFinishForm() && packed.form == finish_form(stage, linear) &&
                   output.output.residual_is_a == stage.residual_is_a;
  add_layer(std::move(step), "jit spmm int8", linear.out_channels, operands, p);
  also_uses(output, p);
}

void emit_lanes(const Stage& stage, const QuantizedLinear& linear, const LayerPack& pack, const LayerOperands& operands,
                Planner& p) {
  if (pack.qjit) return emit_jit(stage, linear, *pack.qjit, operands, p);
  const WindowInput& x = operands.x;
  const QuantizedKernels& kernels = *p.emission.kernels().quantized;
  const int64_t groups_in = ceil_div(linear.in_channels, 4);
  const auto finish = [&](auto step, const char* kernel, const auto& packed, int tile, int64_t blocks,
                          int64_t block_rows) {
    step->weights = &packed.view;
    const QuantizedFinish output = finish_of(stage, linear, packed.rows, p);
    step->finish_with = output;
    step->tile = tile;
    step->blocks = blocks;
    step->block_rows = block_rows;
    add_layer(std::move(step), kernel, linear.out_channels, operands, p);
    also_uses(output, p);
  };
  if (pack.qdepthwise) {
    auto step = std::make_unique<QDepthwiseStep>();
    step->tap_offsets = x.taps;
    step->work_per_position = groups_in * linear.weight.taps;
    finish(std::move(step), "depthwise int8", *pack.qdepthwise, kernels.depthwise_tile, groups_in, 4);
  } else if (pack.qspmm) {
    auto step = std::make_unique<QSpmmStep>();
    step->chunk_base = chunk_bases(pack.qspmm->origins, linear.window, x, 4);
    step->work_per_position = pack.qspmm->groups;
    finish(std::move(step), "spmm int8", *pack.qspmm, kernels.spmm_tile, pack.qspmm->view.blocks(), kQuantizedRows);
  } else {
    auto step = std::make_unique<QDenseStep>();
    step->offsets = dense_offsets(x, groups_in);
    step->work_per_position = linear.out_channels * linear.weight.taps * groups_in;
    finish(std::move(step), "dense int8", *pack.qdense, kernels.dense_tile, pack.qdense->view.blocks(), kQuantizedRows);
  }
}

void emit_few_rows(const Stage& stage, const QuantizedLinear& linear, const PackedQFewRows& packed, Planner& p) {
  const QFewRowsWeights& weights = packed.view;
  const QuantizedFinish output = finish_of(stage, linear, packed.rows, p);
  const FewRowsOperands operands = few_rows_operands(stage, p);
  auto step = std::make_unique<QFewRowsStep>();
  step->kernels = &p.emission.kernels();
  step->weights = &weights;
  step->finish_with = output;
  step->m = operands.m;
  step->x = operands.x;
  step->y = operands.y;
  step->residual = operands.residual;
  if (stage.residual >= 0) step->residual_stride = weights.rows;
  step->post = activation_of(stage.post);
  const int r = operands.residual.value_or(operands.x).buffer;
  QFewRowsStep& s = p.emission.add(std::move(step), "few rows int8", {operands.x.buffer, operands.y.buffer, r});
  also_uses(output, p);
  s.chunks =
      p.emission.workers().chunks_for(ceil_div(weights.rows, kQuantizedRows), kQuantizedRows * weights.k * s.m / 16);
  place_few_rows(stage, operands.y, p);
}

}  // namespace

void form(const QuantizedLinear& linear, const Stage& stage, Placement& placement) {
  form_of_layer(stage, border_of(linear), placement);
}

void emit(const QuantizedLinear& linear, const Stage& stage, Planner& p) {
  const LayerPack& pack = *stage.pack;
  if (runs_row_major(stage, p.placement)) return emit_few_rows(stage, linear, *pack.qfew_rows, p);
  LayerOperands operands{layer_input(stage, border_of(linear), p), {}, {}, activation_of(stage.post), {}, {}};
  place_result(stage, &operands, p);
  emit_lanes(stage, linear, pack, operands, p);
}

}  // namespace sparsecpu
