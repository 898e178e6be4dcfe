#include "lower/layer_pack.h"

#include <algorithm>

#include "base/quantization.h"
#include "kernels/registry.h"
#include "ops/window_memory.h"

namespace sparsecpu {
namespace {

LayerWeights layer_weights(const Stage& stage, const Linear& linear) {
  LayerWeights weights;
  weights.weight = linear.weight;
  weights.groups = linear.groups;
  weights.kernel = linear.window.kernel;
  if (!linear.bias.empty()) weights.bias = linear.bias.data();
  if (!stage.row_scale.empty()) {
    weights.row_scale = stage.row_scale.data();
    weights.row_shift = stage.row_shift.data();
  }
  return weights;
}

}  // namespace

int64_t LayerPack::bytes() const {
  size_t total = 0;
  if (jit) total += jit->code_bytes;
  if (spmm) total += spmm->memory.bytes();
  if (dense) total += dense->memory.bytes();
  if (depthwise) total += depthwise->memory.bytes();
  if (few_rows) total += few_rows->memory.bytes();
  if (qjit) total += qjit->code.code_bytes;
  if (qspmm) total += qspmm->memory.bytes();
  if (qdense) total += qdense->memory.bytes();
  if (qdepthwise) total += qdepthwise->memory.bytes();
  if (qfew_rows) total += qfew_rows->memory.bytes();
  return static_cast<int64_t>(total);
}

const char* LayerPack::kernel() const {
  if (qjit) return "jit spmm int8";
  if (qspmm) return "spmm int8";
  if (qdense) return "dense int8";
  if (qdepthwise) return "depthwise int8";
  if (qfew_rows) return qfew_rows->view.masks != nullptr ? "few rows int8, sparse" : "few rows int8, dense";
  if (depthwise) return "depthwise";
  if (jit) return "jit spmm";
  if (spmm) return "spmm";
  if (dense) return "dense";
  return few_rows && few_rows->view.columns != nullptr ? "few rows, sparse" : "few rows, dense";
}

bool is_pointwise(const LinearShape& linear) {
  const Window& w = linear.window;
  return linear.groups == 1 && linear.taps == 1 && w.stride[0] == 1 && w.stride[1] == 1 &&
         w.pads == std::array<int64_t, 4>{0, 0, 0, 0} && !linear.transposed_input;
}

namespace {

// With few positions, as in the last layers on images, each has to fetch more of the code that follows.
int prefetch_calls(Axes axes, int64_t rows) {
  const bool few = rows < 0 ? axes == Axes::kImage : rows <= kJitPrefetchCalls / 2 * kLanes;
  return few ? kJitPrefetchCalls / 2 : kJitPrefetchCalls;
}

// Where the model leaves positions open, as many as a small image has.
int64_t vectors_of(int64_t rows) { return rows < 0 ? 16 : ceil_div(rows, kLanes); }

// Grid columns between the taps of a window, as the weights' offsets count on them. Of taps that may be gathered
// nothing is known: at this distance each begins a chunk of its own, since the offsets in a chunk have 16 bits.
int64_t tap_distance(const Window& window) { return taps_lie_apart(window) ? 1 << 16 : window.dilation[1]; }

QuantizedLayer quantized_layer(const QuantizedLinear& linear) {
  QuantizedLayer layer;
  layer.weight = linear.weight;
  layer.groups = linear.groups;
  layer.kernel = linear.window.kernel;
  if (!linear.bias.empty()) layer.bias = linear.bias.data();
  layer.input_zero_point = linear.dynamic_input ? 0 : linear.x.stored_zero_point();
  layer.dynamic_input = linear.dynamic_input;
  layer.multiplier = linear.multiplier.data();
  return layer;
}

LayerPack pack_quantized(const LayerSource& source) {
  const QuantizedLayer& layer = source.bytes;
  const LinearShape& shape = source.shape;
  LayerPack pack;
  pack.float_bias = *source.float_bias;
  if (!pack.float_bias.empty()) {
    pack.float_bias.resize(static_cast<size_t>(round_up(shape.out_channels, kQuantizedRows)));
  }
  if (is_depthwise(shape)) {
    pack.qdepthwise = pack_qdepthwise(layer);
    return pack;
  }
  const int64_t rows = source.rows, groups = ceil_div(shape.in_channels, 4);
  const Isa isa = source.target.isa;
  const LayerWork work{true, shape.out_channels, shape.taps * ceil_div(layer.weight.channels, 4), vectors_of(rows)};
  const auto stored = static_cast<double>(layer.nonzero_groups());
  const bool may_be_few = is_pointwise(shape) && source.unsigned_bytes && (rows < 0 || rows < kFewRows);
  if (may_be_few) pack.qfew_rows = pack_qfew_rows(layer, few_rows_are_sparse(work, stored, rows, isa));
  if (may_be_few && rows >= 0) return pack;
  if (shape.groups == 1 && dense_us(work, isa) < sparse_us(work, stored, source.target)) {
    pack.qdense = pack_qdense(layer);
    return pack;
  }
  const int64_t dilation = tap_distance(shape.window);
  if (generates_code(source.target, work.bytes) && !taps_lie_apart(shape.window)) {
    pack.qjit = pack_qjit(layer, dilation, padded_vectors(groups), source.finish, prefetch_calls(shape.axes, rows));
  } else {
    pack.qspmm = pack_qspmm(layer, dilation, padded_vectors(groups), kQuantizedChunkVectors,
                            kernels_for(isa).quantized->split_pairs);
  }
  return pack;
}

LayerPack pack_floats(const LayerSource& source) {
  const LayerWeights& weights = source.floats;
  const LinearShape& shape = source.shape;
  const int64_t rows = source.rows;
  LayerPack pack;
  if (is_depthwise(shape)) {
    pack.depthwise = pack_depthwise(weights);
    return pack;
  }
  const LayerWork work{false, shape.out_channels, weights.weight.channels * weights.weight.taps, vectors_of(rows)};
  const auto stored = static_cast<double>(weights.nonzeros());
  const bool few_are_sparse = few_rows_are_sparse(work, stored, rows, source.target.isa);
  if (is_pointwise(shape) && rows < row_major_below(/*bytes=*/false, few_are_sparse)) {
    pack.few_rows = pack_few_rows(weights, few_are_sparse);
    if (rows >= 0) return pack;
  }
  if (shape.groups == 1 && dense_us(work, source.target.isa) < sparse_us(work, stored, source.target)) {
    pack.dense = pack_dense(weights);
    return pack;
  }
  const int64_t dilation = tap_distance(shape.window), vectors = padded_vectors(shape.in_channels);
  const bool code = runs_code(work, source.target) && !taps_lie_apart(shape.window);
  if (code) pack.jit = pack_jit(weights, dilation, vectors, source.clamp, prefetch_calls(shape.axes, rows));
  const bool may_be_short = rows < 0 && shape.axes == Axes::kTokens;
  if (!code || may_be_short)
    pack.spmm = pack_spmm(weights, dilation, vectors, spmm_chunk_vectors(work, stored, source.target.isa));
  return pack;
}

template <class View>
size_t span_of(const View& weight, size_t element_bytes) {
  const int64_t last = (weight.rows - 1) * weight.row_stride + (weight.channels - 1) * weight.channel_stride +
                       (weight.taps - 1) * weight.tap_stride;
  return static_cast<size_t>(last + 1) * element_bytes;
}

void add_vector(const void* data, int64_t count, size_t element_bytes, ContentHash* hash) {
  hash->add_bytes(data, data != nullptr ? static_cast<size_t>(count) * element_bytes : 0);
}

// Of a weight view but for the stored weights.
template <class View>
void add_view(const View& weight, ContentHash* hash) {
  hash->add(weight.rows).add(weight.channels).add(weight.taps);
  hash->add(weight.row_stride).add(weight.channel_stride).add(weight.tap_stride);
}

void add_shape(const LinearShape& shape, ContentHash* hash) {
  const Window& window = shape.window;
  hash->add(shape.axes).add(shape.in_channels).add(shape.out_channels).add(shape.groups).add(shape.taps);
  hash->add(shape.transposed_input);
  for (int64_t n : window.kernel) hash->add(n);
  for (int64_t n : window.stride) hash->add(n);
  for (int64_t n : window.dilation) hash->add(n);
  for (int64_t n : window.pads) hash->add(n);
}

void add_floats(const LayerWeights& floats, Clamp clamp, ContentHash* hash) {
  add_view(floats.weight, hash);
  hash->add(floats.weight.scale).add(clamp.lo).add(clamp.hi);
  for (const float* vector : {floats.bias, floats.row_scale, floats.row_shift}) {
    add_vector(vector, floats.weight.rows, sizeof(float), hash);
  }
}

void add_bytes(const LayerSource& source, ContentHash* hash) {
  const QuantizedLayer& bytes = source.bytes;
  const QuantizedWeightView& weight = bytes.weight;
  add_view(weight, hash);
  hash->add(weight.is_signed).add(weight.zero_point_stride);
  add_vector(weight.zero_points, (weight.rows - 1) * weight.zero_point_stride + 1, 1, hash);
  hash->add(bytes.input_zero_point).add(bytes.dynamic_input);
  add_vector(bytes.bias, weight.rows, sizeof(int32_t), hash);
  add_vector(bytes.multiplier, weight.rows, sizeof(float), hash);
  add_vector(source.float_bias->data(), static_cast<int64_t>(source.float_bias->size()), sizeof(float), hash);
  hash->add(source.finish.kind).add(source.finish.lookup).add(source.unsigned_bytes);
}

}  // namespace

JitFinishForm finish_form(const Stage& stage, const QuantizedLinear& linear) {
  using Kind = JitFinishForm::Kind;
  if (linear.output == QuantizedLinear::Output::kFloat) return {};
  const bool lookup = stage.table && jit_looks_up();
  if (!stage.sum) return {Kind::kBytes, lookup};
  const SumRatios ratios = quantized_sum(stage.sum->a, stage.sum->b, stage.sum->y);
  if (stage.sum->y.is_signed || !jit_clamps(ratios.a_ratio, ratios.b_ratio, ratios.shift)) return {};
  return {stage.residual_is_a ? Kind::kResidualIsA : Kind::kSum, lookup};
}

LayerSource layer_source(const Stage& stage, bool certain_sum, int64_t rows, Target target) {
  LayerSource source;
  source.shape = *linear_shape(stage.op.data);
  source.rows = rows;
  source.target = target;
  if (const auto* quantized = std::get_if<QuantizedLinear>(&stage.op.data)) {
    source.quantized = true;
    source.bytes = quantized_layer(*quantized);
    source.float_bias = &quantized->float_bias;
    source.finish = finish_form(stage, *quantized);
    source.unsigned_bytes =
        !quantized->x.is_signed && (quantized->output == QuantizedLinear::Output::kFloat || !quantized->y.is_signed);
  } else {
    source.floats = layer_weights(stage, std::get<Linear>(stage.op.data));
    source.clamp = certain_sum ? stage.clamp : kNoClamp;
  }
  return source;
}

std::pair<const void*, size_t> LayerSource::stored() const {
  if (quantized) return {bytes.weight.data, span_of(bytes.weight, 1)};
  return {floats.weight.data, span_of(floats.weight, sizeof(float))};
}

Digest LayerSource::content(const Digest& stored) const {
  ContentHash hash;
  hash.add(stored[0]).add(stored[1]).add(rows).add(target.isa).add(target.jit).add(quantized);
  add_shape(shape, &hash);
  if (quantized) {
    add_bytes(*this, &hash);
  } else {
    add_floats(floats, clamp, &hash);
  }
  return hash.digest();
}

LayerPack pack_layer(const LayerSource& source) {
  return source.quantized ? pack_quantized(source) : pack_floats(source);
}

}  // namespace sparsecpu
