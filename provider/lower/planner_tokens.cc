// Emission of steps over tokens: normalization, attention, selection.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/quantization.h"
#include "lower/planner.h"
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

}  // namespace

void Planner::form_of_norm(const Placed& in, Placed& out) {
  if (in.lanes && in.axes == Axes::kTokens) {
    same_form(in, out);
  } else if (token_count(out.shape) >= kFewRows) {
    place_lanes(out, Axes::kTokens);
  }
}

void Planner::emit(const Stage& stage, const LayerNorm& norm) {
  const int in = stage.op.inputs[0], out = stage.op.output;
  const NormParameters parameters{norm.scale, norm.shift, norm.epsilon};
  if (at(out).lanes) {
    const LaneTensor x = lanes_of(in, at(out).blocks, Axes::kTokens);
    const LaneTensor y = new_lanes(out);
    auto step = std::make_unique<LaneNormStep>();
    step->parameters = parameters;
    add_position_step(std::move(step), "layer norm", x, y);
    return;
  }
  auto step = std::make_unique<RowNormStep>();
  step->kernels = &kernels_;
  step->parameters = parameters;
  step->tokens = token_count(at(out).shape);
  step->x = dense_of(in);
  step->y = new_dense(out);
  const int x = step->x.buffer, y = step->y.buffer;
  RowNormStep& s = add(std::move(step), "layer norm", {x, y});
  s.chunks = chunks_for(s.tokens, static_cast<int64_t>(norm.scale.size()));
}

// A mask of bools, int32 or bytes is converted once for all that use it alike.
TensorRef Planner::float_mask(int value, const Attention& attention, int64_t keys) {
  const TensorRef source = dense_of(value);
  if (attention.mask == MaskKind::kAdded && at(value).type == ElementType::kFloat) return source;
  for (const FloatMask& made : float_masks_) {
    const bool same = made.value == value && made.kind == attention.mask && made.masked == attention.masked;
    if (same && made.keys == keys) return made.ref;
  }
  if (attention.mask == MaskKind::kAdded) {
    float_masks_.push_back({value, attention.mask, attention.masked, keys, byte_mask(value)});
    return float_masks_.back().ref;
  }
  auto step = std::make_unique<MaskStep>();
  step->count = elements_of(mask_over_scores(attention.mask, at(value).shape, keys));
  step->kind = attention.mask;
  step->keys = keys;
  step->masked = attention.masked;
  step->x = source;
  step->y = {new_buffer(step->count, sizeof(float)), 0};
  const TensorRef made = step->y;
  MaskStep& s = add(std::move(step), "mask", {source.buffer, made.buffer});
  s.chunks = chunks_for(s.count, 1);
  float_masks_.push_back({value, attention.mask, attention.masked, keys, made});
  return made;
}

// The numbers of a mask of bytes.
TensorRef Planner::byte_mask(int value) {
  const bool is_signed = at(value).type == ElementType::kInt8;
  const Quantization numbers{1.0f, 0, is_signed};
  auto step = std::make_unique<FlatByteStep>();
  step->what = FlatByteStep::Kind::kDequantize;
  step->parameters = {numbers.scale, numbers.stored_zero_point()};
  step->sign = is_signed ? 0x80 : 0;
  step->kernels = &kernels_;
  step->count = elements_of(at(value).shape);
  step->x = dense_of(value);
  step->y = {new_buffer(step->count, sizeof(float)), 0};
  const TensorRef made = step->y;
  const int x = step->x.buffer;
  FlatByteStep& s = add(std::move(step), "mask", {x, made.buffer});
  s.chunks = chunks_for(ceil_div(s.count, 64), 64);
  return made;
}

void Planner::emit(const Stage& stage, const Attention& attention) {
  auto step = std::make_unique<FloatAttentionStep>();
  step->tile = kernels_.attention_tile;
  add_attention(stage, attention, std::move(step), "attention");
}

void Planner::set_softmax(const Stage& stage, const QuantizedAttention& attention, ByteAttentionStep* step) const {
  const ByteSoftmax& softmax = *attention.softmax;
  const Shape& out = at(stage.op.output).shape;
  const int64_t keys = at(stage.op.inputs[2]).shape[1];
  SoftmaxOfBytes& bytes = step->bytes.softmax;
  bytes.steps = std::floor(1.0f / softmax.y.scale);
  bytes.zero = softmax.y.stored_zero_point();
  if (softmax.sum) set_sum(softmax, {out[0], attention.heads, out[1], keys}, at(stage.op.inputs[3]).shape, &bytes);
  step->set_tables(softmax_powers(softmax.x.scale, keys), float_table(softmax.before, attention.scores->is_signed),
                   float_table(softmax.after, softmax.y.is_signed));
}

void Planner::emit(const Stage& stage, const QuantizedAttention& attention) {
  auto step = std::make_unique<ByteAttentionStep>();
  step->tile = kernels_.quantized->attention_tile;
  AttentionBytes& bytes = step->bytes;
  bytes.q_zero = attention.q.stored_zero_point();
  bytes.k_zero = attention.k.stored_zero_point();
  bytes.v_zero = attention.v.stored_zero_point();
  bytes.score_multiplier = attention.q.scale * attention.k.scale;
  if (attention.scores) {
    bytes.score_bytes = true;
    if (attention.softmax) set_softmax(stage, attention, step.get());
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
  add_attention(stage, attention, std::move(step), "attention int8");
}

void Planner::add_attention(const Stage& stage, const Attention& attention, std::unique_ptr<AttentionStep> step,
                            const char* kernel) {
  if (is_empty(at(stage.op.inputs[2]).shape)) {  // no keys: sums of nothing
    const auto* quantized = std::get_if<QuantizedAttention>(&stage.op.data);
    const bool bytes = quantized != nullptr && quantized->y;
    return fill_lanes(new_lanes(stage.op.output), bytes ? fill_of_byte(quantized->y->stored_zero_point()) : 0);
  }
  // Operands of fewer sequences (or queries, or keys) than others are repeated.
  const Shape& out = at(stage.op.output).shape;
  const int64_t keys = at(stage.op.inputs[2]).shape[1];
  const auto lanes = [&](size_t input, int64_t rows) {
    const int value = stage.op.inputs[input];
    const Shape &have = at(value).shape, want{out[0], rows, have[2]};
    const Geometry blocks = blocks_of(want, Axes::kTokens);
    return have == want ? lanes_of(value, blocks, Axes::kTokens) : repeated_lanes(value, want, blocks, Axes::kTokens);
  };
  step->kernels = &kernels_;
  step->q = lanes(0, out[1]);
  step->k = lanes(1, keys);
  step->v = lanes(2, keys);
  step->y = new_lanes(stage.op.output);
  const Shape &q = at(stage.op.inputs[0]).shape, &v = at(stage.op.inputs[2]).shape;
  step->sequences = out[0];
  step->queries = out[1];
  step->keys = keys;
  step->heads = attention.heads;
  step->depth = q[2] / attention.heads;
  step->value_depth = v[2] / attention.heads;
  step->scale = attention.scale;
  step->unattended = attention.unattended;
  if (attention.mask != MaskKind::kNone) {
    const int mask = stage.op.inputs[3];
    const Shape shape = mask_over_scores(attention.mask, at(mask).shape, step->keys);
    step->mask = AttentionMask{float_mask(mask, attention, step->keys), mask_steps(shape)};
  }
  // A microsecond computes about eight times as many multiply-adds as it moves floats.
  const int64_t multiplies = step->slots() * step->tile * kLanes * (step->depth + step->value_depth);
  step->chunks = chunks_for(step->units(), multiplies / 8);
  step->scratch = {new_buffer(checked_mul(step->scratch_floats(), step->chunks), sizeof(float)), 0};
  const int q_buffer = step->q.ref.buffer, k_buffer = step->k.ref.buffer, v_buffer = step->v.ref.buffer;
  const int scratch = step->scratch.buffer, y_buffer = step->y.ref.buffer;
  const int mask_buffer = step->mask ? step->mask->ref.buffer : y_buffer;
  add(std::move(step), kernel, {q_buffer, k_buffer, v_buffer, mask_buffer, scratch, y_buffer});
}

void Planner::emit(const Stage& stage, const SelectToken& select) {
  const int in = stage.op.inputs[0];
  const Shape& shape = at(in).shape;
  auto step = std::make_unique<SelectTokenStep>();
  step->sequences = shape[0];
  step->tokens = shape[1];
  step->channels = shape[2];
  step->index = select.index < 0 ? select.index + shape[1] : select.index;
  if (const Version* found = complete_version(in, Axes::kTokens)) {
    step->lanes = found->tensor;
  } else {
    step->rows = dense_of(in);
  }
  step->y = new_dense(stage.op.output);
  const int x = step->lanes ? step->lanes->ref.buffer : step->rows.buffer, y = step->y.buffer;
  SelectTokenStep& s = add(std::move(step), "select token", {x, y});
  s.chunks = chunks_for(s.sequences, s.channels * kLanes);
}

}  // namespace sparsecpu
