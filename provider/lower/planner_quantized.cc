// Steps of stages on bytes.
#include <algorithm>
#include <utility>

#include "base/quantization.h"
#include "lower/planner.h"
#include "run/byte_steps.h"
#include "run/quantized_steps.h"

namespace sparsecpu {
namespace {

uint8_t sign_byte(const Quantization& q) { return q.is_signed ? 0x80 : 0; }

// a, b: shapes of the operands that are no constants.
bool exchanges(const QuantizedAdd& add, const Shape& a, const Shape& b) {
  if (!add.constant) return *exchanges_operands(a, b);
  return *(add.constant->first ? exchanges_operands(add.constant->dims, b) : exchanges_operands(a, add.constant->dims));
}

QuantizedSum sum_of(const QuantizedAdd& add, bool exchange) {
  const SumRatios ratios = exchange ? quantized_sum(add.b, add.a, add.y) : quantized_sum(add.a, add.b, add.y);
  return {ratios.a_ratio, ratios.b_ratio, ratios.shift, sign_byte(add.y)};
}

}  // namespace

// A flat step on row-major tensors of bytes or floats.
void Planner::add_flat(std::unique_ptr<FlatByteStep> step, const char* kernel, int in, int out) {
  step->kernels = &kernels_;
  step->count = elements_of(at(out).shape);
  step->x = dense_of(in);
  step->y = new_dense(out);
  const int x = step->x.buffer, y = step->y.buffer;
  FlatByteStep& s = add(std::move(step), kernel, {x, y});
  s.chunks = chunks_for(ceil_div(s.count, 64), 64);
}

void Planner::emit(const Stage& stage, const Quantize& quantize) {
  const int in = stage.op.inputs[0], out = stage.op.output;
  if (!at(out).lanes) {
    auto step = std::make_unique<FlatByteStep>();
    step->what = FlatByteStep::Kind::kQuantize;
    step->parameters = parameters_of(quantize.y);
    step->sign = sign_byte(quantize.y);
    add_flat(std::move(step), "quantize", in, out);
    return;
  }
  auto step = std::make_unique<LaneQuantizeStep>();
  step->parameters = parameters_of(quantize.y);
  step->channels = channels_of(out, at(out).axes);
  const LaneTensor x = lanes_of(in, at(out).blocks, at(out).axes);
  add_position_step(std::move(step), "quantize", x, new_lanes(out));
}

void Planner::emit(const Stage& stage, const Dequantize& dequantize) {
  const int in = stage.op.inputs[0], out = stage.op.output;
  if (!at(out).lanes) {
    auto step = std::make_unique<FlatByteStep>();
    step->what = FlatByteStep::Kind::kDequantize;
    step->parameters = parameters_of(dequantize.x);
    step->sign = sign_byte(dequantize.x);
    add_flat(std::move(step), "dequantize", in, out);
    return;
  }
  auto step = std::make_unique<LaneQuantizeStep>();
  step->dequantize = true;
  step->parameters = parameters_of(dequantize.x);
  step->channels = channels_of(out, at(out).axes);
  const LaneTensor x = lanes_of(in, at(out).blocks, at(out).axes);
  add_position_step(std::move(step), "dequantize", x, new_lanes(out));
}

void Planner::emit(const Stage& stage, const DynamicQuantize&) {
  const int in = stage.op.inputs[0], out = stage.op.output;
  const int64_t count = elements_of(at(out).shape);
  const TensorRef x = dense_of(in);
  const TensorRef y = new_dense(out);
  auto range = std::make_unique<MinMaxStep>();
  range->kernels = &kernels_;
  range->count = count;
  range->x = x;
  const int partials = chunks_for(ceil_div(count, kLanes), kLanes);
  range->partial = {new_buffer(2 * partials, sizeof(float)), 0};
  const int partial = range->partial.buffer;
  MinMaxStep& first = add(std::move(range), "min max", {x.buffer, partial});
  first.chunks = partials;
  auto quantize = std::make_unique<DynamicQuantizeStep>();
  quantize->kernels = &kernels_;
  quantize->count = count;
  quantize->partials = partials;
  quantize->x = x;
  quantize->y = y;
  quantize->partial = first.partial;
  quantize->quantization = {new_buffer(2, sizeof(float)), 0};
  at(out).quantization = quantize->quantization;
  const int q = quantize->quantization.buffer;
  add(std::move(quantize), "quantize", {x.buffer, y.buffer, first.partial.buffer, q}).chunks = partials;
}

void Planner::emit(const Stage& stage, const Lookup& lookup) {
  const int in = stage.op.inputs[0], out = stage.op.output;
  if (!at(out).lanes) {
    auto step = std::make_unique<FlatByteStep>();
    step->what = FlatByteStep::Kind::kLookup;
    step->table = lookup.table;
    add_flat(std::move(step), "lookup", in, out);
    return;
  }
  auto step = std::make_unique<LaneLookupStep>();
  step->table = stored_table(lookup, at(in).type == ElementType::kInt8);
  const LaneTensor x = lanes_of(in, at(out).blocks, at(out).axes);
  add_position_step(std::move(step), "lookup", x, new_lanes(out));
}

void Planner::emit(const Stage& stage, const QuantizedAdd& add) {
  const std::vector<int>& inputs = stage.op.inputs;
  const bool exchange = exchanges(add, at(inputs.front()).shape, at(inputs.back()).shape);
  QuantizedBinary function;
  function.sum = sum_of(add, exchange);
  emit_byte_binary(stage, function, false, add.constant, exchange);
}

void Planner::emit(const Stage& stage, const QuantizedMul& mul) {
  QuantizedBinary function;
  function.multiplier = product_multiplier(mul.a.scale, mul.b.scale, mul.y.scale);
  function.a_zero = mul.a.stored_zero_point();
  function.b_zero = mul.b.stored_zero_point();
  function.y_zero = mul.y.stored_zero_point();
  function.sum.sign = sign_byte(mul.y);
  emit_byte_binary(stage, function, true, mul.constant, false);
}

// The order of the operands is that of the roundings: `exchange` alone changes it.
void Planner::emit_byte_binary(const Stage& stage, const QuantizedBinary& function, bool multiply,
                               const std::optional<ChannelBytes>& constant, bool exchange) {
  const std::vector<int>& inputs = stage.op.inputs;
  const auto operand = [&](bool first) {
    if (constant && constant->first == first) return constant_operand(*constant, stage.op.output);
    return operand_of(constant || first ? inputs[0] : inputs[1], stage.op.output);
  };
  const Operand a = operand(!exchange), b = operand(exchange);
  auto step = std::make_unique<LaneByteBinaryStep>();
  step->function = function;
  step->multiply = multiply;
  step->table = stage.table;
  step->second = b.walk;
  const LaneTensor y = new_lanes(stage.op.output);
  const char* kernel = multiply ? "quantized mul" : "quantized add";
  add_position_step(std::move(step), kernel, a.tensor, y, b.tensor.ref.buffer).x = a.walk;
}

// Multipliers and bias of a layer whose input's scale and zero point are known only now.
void Planner::scale_dynamically(int value, const QuantizedRows& rows, QuantizedFinish* finish) {
  const TensorRef quantization = *at(value).quantization;
  auto step = std::make_unique<DynamicScaleStep>();
  step->multiplier = rows.multiplier.data();
  step->bias = rows.bias.data();
  step->row_sum = rows.row_sum.data();
  step->rows = static_cast<int64_t>(rows.bias.size());
  step->quantization = quantization;
  step->run_multiplier = {new_buffer(step->rows, sizeof(float)), 0};
  step->run_bias = {new_buffer(step->rows, sizeof(int32_t)), 0};
  finish->run_multiplier = step->run_multiplier;
  finish->run_bias = step->run_bias;
  const int m = step->run_multiplier.buffer, b = step->run_bias.buffer;
  add(std::move(step), "dynamic scale", {quantization.buffer, m, b});
}

void Planner::also_uses(const QuantizedFinish& output) {
  if (!output.run_bias) return;
  also_uses(*output.run_bias);
  also_uses(*output.run_multiplier);
}

QuantizedFinish Planner::finish_of(const Stage& stage, const QuantizedLinear& linear, const QuantizedRows& rows) {
  QuantizedFinish finish;
  finish.output.bias = rows.bias.data();
  finish.output.multiplier = rows.multiplier.data();
  finish.table = stage.table;
  if (linear.output == QuantizedLinear::Output::kFloat) {
    finish.output.form = QuantizedOutput::Form::kFloats;
    finish.output.float_bias = float_bias_of(stage);
    finish.output.clamp = stage.clamp;
  } else {
    finish.output.zero_point = linear.y.stored_zero_point();
  }
  if (stage.sum) {
    const Shape& product = at(stage.op.output).shape;
    const Shape& residual = stage.residual >= 0 ? at(stage.residual).shape : product;
    const bool exchange =
        stage.residual_is_a ? exchanges(*stage.sum, residual, product) : exchanges(*stage.sum, product, residual);
    finish.sum = sum_of(*stage.sum, exchange);
    finish.output.residual_is_a = stage.residual_is_a != exchange;
  }
  if (linear.dynamic_input) scale_dynamically(stage.op.inputs[0], rows, &finish);
  return finish;
}

const float* Planner::float_bias_of(const Stage& stage) const {
  const size_t index = index_of(stage);
  return packs_[index]->float_bias.empty() ? nullptr : packs_[index]->float_bias.data();
}

void Planner::emit(const Stage& stage, const QuantizedLinear& linear, const LayerPack& pack) {
  const std::optional<Activation> post = activation_of(stage.post);
  if (runs_row_major(index_of(stage))) {
    emit_quantized_few_rows(stage, linear, *pack.qfew_rows, post);
    return;
  }
  const LinearShape shape = *linear_shape(stage.op.data);
  LinearOperands operands{linear_input(stage, shape, fill_of_byte(linear.x.stored_zero_point())), {}, {}, post, {}, {}};
  place_stretch(stage, &operands);
  emit_quantized_lanes(stage, linear, pack, shape, operands);
}

void Planner::emit_quantized_lanes(const Stage& stage, const QuantizedLinear& linear, const LayerPack& pack,
                                   const LinearShape& shape, const LinearOperands& operands) {
  const WindowInput& x = operands.x;
  const int64_t groups_in = ceil_div(shape.in_channels, 4);
  const auto finish = [&](auto step, const char* kernel, const auto& packed, int tile, int64_t blocks,
                          int64_t block_rows) {
    step->weights = &packed.view;
    const QuantizedFinish output = finish_of(stage, linear, packed.rows);
    step->finish_with = output;
    step->tile = tile;
    step->blocks = blocks;
    step->block_rows = block_rows;
    add_linear_step(std::move(step), kernel, shape, operands);
    also_uses(output);
  };
  if (pack.qdepthwise) {
    auto step = std::make_unique<QDepthwiseStep>();
    step->tap_offsets = x.taps;
    step->work_per_position = groups_in * shape.taps;
    finish(std::move(step), "depthwise int8", *pack.qdepthwise, kernels_.quantized->depthwise_tile, groups_in, 4);
  } else if (pack.qjit) {
    auto step = std::make_unique<QJitStep>();
    set_code(*step, linear.window, pack.qjit->code, operands);
    step->tile = std::min(step->tile, QJitStep::kMaxTile);
    step->packed = &*pack.qjit;
    const QuantizedFinish output = finish_of(stage, linear, pack.qjit->rows);
    step->finish_with = output;
    step->finishes = pack.qjit->form != JitFinishForm() && pack.qjit->form == finish_form(stage, linear) &&
                     output.output.residual_is_a == stage.residual_is_a;
    add_linear_step(std::move(step), "jit spmm int8", shape, operands);
    also_uses(output);
  } else if (pack.qspmm) {
    auto step = std::make_unique<QSpmmStep>();
    for (const ChunkOrigin& o : pack.qspmm->origins) {
      step->chunk_base.push_back(tap_of(linear.window, x, o) + o.channel / 4 * kLanes);
    }
    step->work_per_position = pack.qspmm->groups;
    finish(std::move(step), "spmm int8", *pack.qspmm, kernels_.quantized->spmm_tile, pack.qspmm->view.blocks(),
           kQuantizedRows);
  } else {
    auto step = std::make_unique<QDenseStep>();
    for (ptrdiff_t tap : x.taps) {
      for (int64_t g = 0; g < groups_in; ++g) step->offsets.push_back(tap + g * kLanes);
    }
    step->work_per_position = shape.out_channels * shape.taps * groups_in;
    finish(std::move(step), "dense int8", *pack.qdense, kernels_.quantized->dense_tile, pack.qdense->view.blocks(),
           kQuantizedRows);
  }
}

}  // namespace sparsecpu
