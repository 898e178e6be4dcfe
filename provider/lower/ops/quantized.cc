#include "lower/ops/quantized.h"

#include "base/quantization.h"
#include "lower/arithmetic.h"
#include "lower/operands.h"
#include "lower/ops/elementwise.h"
#include "lower/parameters.h"
#include "lower/quantized_sum.h"
#include "run/byte_steps.h"

namespace sparsecpu {
namespace {

uint8_t sign_byte(const Quantization& q) { return q.is_signed ? 0x80 : 0; }

// A step on row-major tensors of bytes or floats.
void add_flat(std::unique_ptr<FlatByteStep> step, const char* kernel, const Stage& stage, Planner& p) {
  step->kernels = &p.emission.kernels();
  step->count = elements_of(p.placement.shape(stage.op.output));
  step->x = p.layouts.dense_of(stage.op.inputs[0]);
  step->y = p.layouts.new_dense(stage.op.output);
  const int x = step->x.buffer, y = step->y.buffer;
  FlatByteStep& s = p.emission.add(std::move(step), kernel, {x, y});
  s.chunks = p.emission.workers().chunks_for(ceil_div(s.count, 64), 64);
}

// A step on the positions of the output, of one input.
template <class S>
void add_lanes(std::unique_ptr<S> step, const char* kernel, const Stage& stage, Planner& p) {
  const Placed& out = p.placement.at(stage.op.output);
  const LaneTensor x = p.layouts.lanes_of(stage.op.inputs[0], out.blocks, out.axes);
  p.emission.add_positions(std::move(step), kernel, x, p.layouts.new_lanes(stage.op.output));
}

void convert(const Quantization& q, bool dequantize, const Stage& stage, Planner& p) {
  const char* kernel = dequantize ? "dequantize" : "quantize";
  const Placed& out = p.placement.at(stage.op.output);
  if (!out.lanes) {
    auto step = std::make_unique<FlatByteStep>();
    step->what = dequantize ? FlatByteStep::Kind::kDequantize : FlatByteStep::Kind::kQuantize;
    step->parameters = parameters_of(q);
    step->sign = sign_byte(q);
    return add_flat(std::move(step), kernel, stage, p);
  }
  auto step = std::make_unique<LaneQuantizeStep>();
  step->dequantize = dequantize;
  step->parameters = parameters_of(q);
  step->channels = out.channels(out.axes);
  add_lanes(std::move(step), kernel, stage, p);
}

void form_of_bytes(const std::optional<ChannelBytes>& constant, const Stage& stage, Placement& placement) {
  Placed& out = placement.at(stage.op.output);
  if (constant) {
    out.place_as(placement.at(stage.op.inputs[0]));
  } else {
    form_of_two(stage, placement);
  }
  if (constant && constant->values.size() > 1) {
    if (!out.lanes || out.axes != constant->axes) out.place_lanes(constant->axes);
  } else if (!out.lanes) {
    out.place_lanes(out.shape.size() > 2 && out.shape.size() <= 4 ? Axes::kImage : Axes::kTokens);
  }
}

// The order of the operands is that of the roundings: `exchange` alone changes it.
void emit_of_bytes(const QuantizedBinary& function, bool multiply, const std::optional<ChannelBytes>& constant,
                   bool exchange, const Stage& stage, Planner& p) {
  const std::vector<int>& inputs = stage.op.inputs;
  const auto operand = [&](bool first) {
    if (constant && constant->first == first) return constant_operand(*constant, stage.op.output, p);
    return operand_of(constant || first ? inputs[0] : inputs[1], stage.op.output, p);
  };
  const Operand a = operand(!exchange), b = operand(exchange);
  auto step = std::make_unique<LaneByteBinaryStep>();
  step->function = function;
  step->multiply = multiply;
  step->table = stage.table;
  step->second = b.walk;
  const LaneTensor y = p.layouts.new_lanes(stage.op.output);
  const char* kernel = multiply ? "quantized mul" : "quantized add";
  p.emission.add_positions(std::move(step), kernel, a.tensor, y, b.tensor.ref.buffer).x = a.walk;
}

}  // namespace

void form(const Quantize&, const Stage& stage, Placement& placement) {
  placement.at(stage.op.output).place_as(placement.at(stage.op.inputs[0]));
}

void emit(const Quantize& quantize, const Stage& stage, Planner& p) { convert(quantize.y, false, stage, p); }

// What leaves the region leaves as bytes first.
void form(const Dequantize&, const Stage& stage, Placement& placement) {
  Placed& out = placement.at(stage.op.output);
  if (out.region_output == kNone) out.place_as(placement.at(stage.op.inputs[0]));
}

void emit(const Dequantize& dequantize, const Stage& stage, Planner& p) { convert(dequantize.x, true, stage, p); }

void form(const DynamicQuantize&, const Stage&, Placement&) {}  // row-major

void emit(const DynamicQuantize&, const Stage& stage, Planner& p) {
  Placed& out = p.placement.at(stage.op.output);
  const int64_t count = elements_of(out.shape);
  const TensorRef x = p.layouts.dense_of(stage.op.inputs[0]);
  const TensorRef y = p.layouts.new_dense(stage.op.output);
  auto range = std::make_unique<MinMaxStep>();
  range->kernels = &p.emission.kernels();
  range->count = count;
  range->x = x;
  const int partials = p.emission.workers().chunks_for(ceil_div(count, kLanes), kLanes);
  const TensorRef partial{p.buffers.add(2 * partials, sizeof(float)), 0};
  range->partial = partial;
  p.emission.add(std::move(range), "min max", {x.buffer, partial.buffer}).chunks = partials;
  auto quantize = std::make_unique<DynamicQuantizeStep>();
  quantize->kernels = &p.emission.kernels();
  quantize->count = count;
  quantize->partials = partials;
  quantize->x = x;
  quantize->y = y;
  quantize->partial = partial;
  const TensorRef own{p.buffers.add(2, sizeof(float)), 0};
  quantize->quantization = own;
  out.quantization = own;
  p.emission.add(std::move(quantize), "quantize", {x.buffer, y.buffer, partial.buffer, own.buffer}).chunks = partials;
}

void form(const QuantizedAdd& add, const Stage& stage, Placement& placement) {
  form_of_bytes(add.constant, stage, placement);
}

void emit(const QuantizedAdd& add, const Stage& stage, Planner& p) {
  const std::vector<int>& inputs = stage.op.inputs;
  const bool exchange = exchanges(add, p.placement.shape(inputs.front()), p.placement.shape(inputs.back()));
  QuantizedBinary function;
  function.sum = sum_of(add, exchange);
  emit_of_bytes(function, false, add.constant, exchange, stage, p);
}

void form(const QuantizedMul& mul, const Stage& stage, Placement& placement) {
  form_of_bytes(mul.constant, stage, placement);
}

void emit(const QuantizedMul& mul, const Stage& stage, Planner& p) {
  QuantizedBinary function;
  function.multiplier = product_multiplier(mul.a.scale, mul.b.scale, mul.y.scale);
  function.a_zero = mul.a.stored_zero_point();
  function.b_zero = mul.b.stored_zero_point();
  function.y_zero = mul.y.stored_zero_point();
  function.sum.sign = sign_byte(mul.y);
  emit_of_bytes(function, true, mul.constant, false, stage, p);
}

void form(const Lookup&, const Stage& stage, Placement& placement) {
  placement.at(stage.op.output).place_as(placement.at(stage.op.inputs[0]));
}

void emit(const Lookup& lookup, const Stage& stage, Planner& p) {
  if (!p.placement.at(stage.op.output).lanes) {
    auto step = std::make_unique<FlatByteStep>();
    step->what = FlatByteStep::Kind::kLookup;
    step->table = lookup.table;
    return add_flat(std::move(step), "lookup", stage, p);
  }
  auto step = std::make_unique<LaneLookupStep>();
  step->table = stored_table(lookup, p.placement.at(stage.op.inputs[0]).type == ElementType::kInt8);
  add_lanes(std::move(step), "lookup", stage, p);
}

}  // namespace sparsecpu
