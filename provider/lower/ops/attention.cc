#include "lower/ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/quantization.h"
#include "lower/arithmetic.h"
#include "lower/operands.h"
#include "run/byte_steps.h"
#include "run/layout_steps.h"
#include "run/token_steps.h"

namespace sparsecpu {
namespace {

// Floats from one element of `mask` to the next along each axis of [sequences, heads, queries, keys]; 0: repeated.
std::array<int64_t, 4> mask_steps(const Shape& mask) {
  std::array<int64_t, 4> steps{};
  std::ranges::copy(broadcast_steps(mask, steps.size()), steps.begin());
  return steps;
}

// As QLinearSoftmax of onnxruntime fills its table, but for a power of two that keeps products finite: it changes no
// ratio.
std::vector<float> softmax_powers(float scale, int64_t keys) {
  const float most = std::numeric_limits<float>::max() / static_cast<float>(keys);
  const double offset = std::max(0.0, static_cast<double>(std::log(most)) - 5) / static_cast<double>(scale);
  std::vector<float> powers;
  for (int i = 0; i < 256; ++i) {
    const double exponent = (static_cast<double>(i) - 255 + offset) * static_cast<double>(scale);
    powers.push_back(std::ldexp(static_cast<float>(std::exp(exponent)), -64));
  }
  return powers;
}

std::vector<float> float_table(const std::optional<Lookup>& lookup, bool input_signed) {
  if (!lookup) return {};
  const std::array<uint8_t, 256> table = stored_table(*lookup, input_signed);
  return {table.begin(), table.end()};
}

// Of the mask that is added to the scores.
void set_sum(const ByteSoftmax& softmax, const Shape& scores, const Shape& mask, SoftmaxOfBytes* bytes) {
  const QuantizedAdd& add = *softmax.sum;
  const bool first = softmax.mask_first;
  const bool exchange = *(first ? exchanges_operands(mask, scores) : exchanges_operands(scores, mask));
  const SumRatios ratios = exchange ? quantized_sum(add.b, add.a, add.y) : quantized_sum(add.a, add.b, add.y);
  bytes->score_leads = first == exchange;
  bytes->score_ratio = bytes->score_leads ? ratios.a_ratio : ratios.b_ratio;
  bytes->mask_ratio = bytes->score_leads ? ratios.b_ratio : ratios.a_ratio;
  bytes->shift = ratios.shift;
  bytes->sign = add.y.is_signed ? 128 : 0;
}

void set_softmax(const Stage& stage, const QuantizedAttention& attention, const Placement& placement,
                 ByteAttentionStep* step) {
  const ByteSoftmax& softmax = *attention.softmax;
  const Shape& out = placement.shape(stage.op.output);
  const int64_t keys = placement.shape(stage.op.inputs[2])[1];
  SoftmaxOfBytes& bytes = step->bytes.softmax;
  bytes.steps = std::floor(1.0f / softmax.y.scale);
  bytes.zero = softmax.y.stored_zero_point();
  if (softmax.sum) {
    set_sum(softmax, {out[0], attention.heads, out[1], keys}, placement.shape(stage.op.inputs[3]), &bytes);
  }
  step->set_tables(softmax_powers(softmax.x.scale, keys), float_table(softmax.before, attention.scores->is_signed),
                   float_table(softmax.after, softmax.y.is_signed));
}

// The numbers of a mask of bytes.
TensorRef byte_mask(int value, Planner& p) {
  const Placed& mask = p.placement.at(value);
  const bool is_signed = mask.type == ElementType::kInt8;
  const Quantization numbers{1.0f, 0, is_signed};
  auto step = std::make_unique<FlatByteStep>();
  step->what = FlatByteStep::Kind::kDequantize;
  step->parameters = {numbers.scale, numbers.stored_zero_point()};
  step->sign = is_signed ? 0x80 : 0;
  step->kernels = &p.emission.kernels();
  step->count = elements_of(mask.shape);
  step->x = p.layouts.dense_of(value);
  step->y = {p.buffers.add(step->count, sizeof(float)), 0};
  const TensorRef made = step->y;
  const int x = step->x.buffer;
  FlatByteStep& s = p.emission.add(std::move(step), "mask", {x, made.buffer});
  s.chunks = p.emission.workers().chunks_for(ceil_div(s.count, 64), 64);
  return made;
}

// What a mask of bools or int32 adds.
TensorRef added_by_mask(TensorRef source, const Shape& shape, const Attention& attention, int64_t batch, int64_t keys,
                        Planner& p) {
  auto step = std::make_unique<MaskStep>();
  step->count = elements_of(mask_over_scores(attention.mask, shape, batch, keys));
  if (attention.mask == MaskKind::kLengths && shape[0] == 2 * batch) step->starts = batch;
  step->kind = attention.mask;
  step->keys = keys;
  step->masked = attention.masked;
  step->x = source;
  step->y = {p.buffers.add(step->count, sizeof(float)), 0};
  const TensorRef made = step->y;
  MaskStep& s = p.emission.add(std::move(step), "mask", {source.buffer, made.buffer});
  s.chunks = p.emission.workers().chunks_for(s.count, 1);
  return made;
}

// A mask of bools, int32 or bytes is converted once for all that use it alike.
TensorRef float_mask(int value, const Attention& attention, int64_t batch, int64_t keys, Planner& p) {
  const TensorRef source = p.layouts.dense_of(value);
  const Placed& mask = p.placement.at(value);
  const bool adds = attention.mask == MaskKind::kAdded;
  if (adds && mask.type == ElementType::kFloat) return source;
  const FloatMask wanted{value, attention.mask, attention.masked, batch, keys, {}};
  for (const FloatMask& made : p.float_masks) {
    if (made.is_like(wanted)) return made.ref;
  }
  p.float_masks.push_back(wanted);
  p.float_masks.back().ref = adds ? byte_mask(value, p) : added_by_mask(source, mask.shape, attention, batch, keys, p);
  return p.float_masks.back().ref;
}

// Operands of fewer sequences (or queries, or keys) than others are repeated.
LaneTensor operand_lanes(int value, int64_t sequences, int64_t rows, Planner& p) {
  const Shape &have = p.placement.shape(value), want{sequences, rows, have[2]};
  const Geometry blocks = blocks_of(want, Axes::kTokens);
  return have == want ? p.layouts.lanes_of(value, blocks, Axes::kTokens)
                      : repeated_lanes(value, want, blocks, Axes::kTokens, p);
}

// fill: what sums of nothing are, where there are no keys.
void add_attention(const Stage& stage, const Attention& attention, FillBits fill, std::unique_ptr<AttentionStep> step,
                   const char* kernel, Planner& p) {
  const std::vector<int>& inputs = stage.op.inputs;
  if (is_empty(p.placement.shape(inputs[2]))) return p.layouts.fill_lanes(p.layouts.new_lanes(stage.op.output), fill);
  const Shape& out = p.placement.shape(stage.op.output);
  const Shape &q = p.placement.shape(inputs[0]), &v = p.placement.shape(inputs[2]);
  step->kernels = &p.emission.kernels();
  step->sequences = out[0];
  step->queries = out[1];
  step->keys = v[1];
  step->heads = attention.heads;
  step->depth = q[2] / attention.heads;
  step->value_depth = v[2] / attention.heads;
  step->scale = attention.scale;
  step->unattended = attention.unattended;
  step->mask_replaces = attention.replaces;
  step->q = operand_lanes(inputs[0], out[0], out[1], p);
  step->k = operand_lanes(inputs[1], out[0], step->keys, p);
  step->v = operand_lanes(inputs[2], out[0], step->keys, p);
  step->y = p.layouts.new_lanes(stage.op.output);
  if (attention.mask != MaskKind::kNone) {
    const Shape shape = mask_over_scores(attention.mask, p.placement.shape(inputs[3]), out[0], step->keys);
    step->mask = AttentionMask{float_mask(inputs[3], attention, out[0], step->keys, p), mask_steps(shape)};
  }
  // A microsecond computes about eight times as many multiply-adds as it moves floats.
  const int64_t multiplies = step->slots() * step->tile * kLanes * (step->depth + step->value_depth);
  step->chunks = p.emission.workers().chunks_for(step->units(), multiplies / 8);
  step->scratch = {p.buffers.add(checked_mul(step->scratch_floats(), step->chunks), sizeof(float)), 0};
  const int q_buffer = step->q.ref.buffer, k_buffer = step->k.ref.buffer, v_buffer = step->v.ref.buffer;
  const int scratch = step->scratch.buffer, y_buffer = step->y.ref.buffer;
  const int mask_buffer = step->mask ? step->mask->ref.buffer : y_buffer;
  p.emission.add(std::move(step), kernel, {q_buffer, k_buffer, v_buffer, mask_buffer, scratch, y_buffer});
}

}  // namespace

void form(const Attention&, const Stage& stage, Placement& placement) {
  placement.at(stage.op.output).place_lanes(Axes::kTokens);
}

void emit(const Attention& attention, const Stage& stage, Planner& p) {
  auto step = std::make_unique<FloatAttentionStep>();
  step->tile = p.emission.kernels().attention_tile;
  add_attention(stage, attention, 0, std::move(step), "attention", p);
}

void form(const QuantizedAttention&, const Stage& stage, Placement& placement) {
  placement.at(stage.op.output).place_lanes(Axes::kTokens);
}

void emit(const QuantizedAttention& attention, const Stage& stage, Planner& p) {
  auto step = std::make_unique<ByteAttentionStep>();
  step->tile = p.emission.kernels().quantized->attention_tile;
  AttentionBytes& bytes = step->bytes;
  bytes.q_zero = attention.q.stored_zero_point();
  bytes.k_zero = attention.k.stored_zero_point();
  bytes.v_zero = attention.v.stored_zero_point();
  bytes.score_multiplier = attention.q.scale * attention.k.scale;
  if (attention.scores) {
    bytes.score_bytes = true;
    if (attention.softmax) set_softmax(stage, attention, p.placement, step.get());
    bytes.score_multiplier /= attention.scores->scale;
    bytes.score_zero = attention.scores->stored_zero_point();
    bytes.score_scale = attention.scores->scale;
  }
  bytes.weight_scale = attention.weights.scale;
  bytes.weight_zero = attention.weights.stored_zero_point();
  bytes.y_multiplier = attention.weights.scale * attention.v.scale;
  bytes.float_output = !attention.y;
  if (attention.y) {
    bytes.y_multiplier /= attention.y->scale;
    bytes.y_zero = attention.y->stored_zero_point();
  }
  const FillBits fill = attention.y ? fill_of_byte(attention.y->stored_zero_point()) : 0;
  add_attention(stage, attention, fill, std::move(step), "attention int8", p);
}

}  // namespace sparsecpu
