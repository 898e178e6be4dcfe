#include "lower/layer_pack.h"

#include <algorithm>

#include "base/quantization.h"
#include "ops/window_memory.h"
#include "pack/levels.h"

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

const PackedLayer* LayerPack::in_lanes(int64_t vectors) const {
  if (is_row_major(main().form())) return nullptr;
  const bool is_short = vectors <= kStreamVectors && forms.size() > 1 && forms[1].form() == LayerForm::kStream;
  return is_short ? &forms[1] : &main();
}

const PackedLayer* LayerPack::row_major() const { return is_row_major(forms.back().form()) ? &forms.back() : nullptr; }

int64_t LayerPack::bytes() const {
  int64_t total = 0;
  for (const PackedLayer& form : forms) total += form.bytes();
  return total;
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

bool few_rows_are_sparse(const LayerWork& work, double stored, const LayerSource& source) {
  const bool open = source.rows < 0;
  return skips_zeros(fastest_row_major(work, stored, open ? 1 : source.rows, open, source.target.isa).form);
}

// Of the layer in lanes.
PackedLayer pack_lanes_of_bytes(const LayerSource& source, const LayerWork& work, double stored) {
  const QuantizedLayer& layer = source.bytes;
  const LinearShape& shape = source.shape;
  const LayerForm form = fastest_in_lanes(work, stored, shape.groups == 1, source.target).form;
  if (form == LayerForm::kDense) return pack_qdense(layer);
  const int64_t dilation = tap_distance(shape.window), vectors = padded_vectors(ceil_div(shape.in_channels, 4));
  if (form == LayerForm::kCode && !taps_lie_apart(shape.window)) {
    return pack_qjit(layer, dilation, vectors, source.finish, prefetch_calls(shape.axes, source.rows));
  }
  return pack_qspmm(layer, dilation, vectors, kQuantizedChunkVectors,
                    kernels_for(source.target.isa).quantized->split_pairs);
}

std::vector<PackedLayer> pack_bytes(const LayerSource& source) {
  const QuantizedLayer& layer = source.bytes;
  const LinearShape& shape = source.shape;
  const int64_t rows = source.rows;
  std::vector<PackedLayer> forms;
  const bool wide = layer.weight.wide;
  if (is_depthwise(shape) && !wide) {
    forms.push_back(pack_qdepthwise(layer));
    return forms;
  }
  const int64_t inputs = shape.taps * ceil_div(layer.weight.channels, 4);
  const LayerWork work{true, shape.out_channels, inputs, vectors_of(rows), wide};
  const auto stored = static_cast<double>(layer.nonzero_groups());
  const bool may_be_few = is_pointwise(shape) && source.unsigned_bytes && rows < kFewRows && !wide;
  if (!may_be_few || rows < 0) forms.push_back(pack_lanes_of_bytes(source, work, stored));
  if (may_be_few) forms.push_back(pack_qfew_rows(layer, few_rows_are_sparse(work, stored, source)));
  return forms;
}

// Of the layer in lanes: two where a run may have so few tokens that generated code does not pay.
std::vector<PackedLayer> pack_lanes_of_floats(const LayerSource& source, const LayerWork& work, double stored) {
  const LayerWeights& weights = source.floats;
  const LinearShape& shape = source.shape;
  const Target target = source.target;
  std::vector<PackedLayer> forms;
  const LayerForm form = fastest_in_lanes(work, stored, shape.groups == 1, target).form;
  if (form == LayerForm::kDense) {
    forms.push_back(pack_dense(weights));
    return forms;
  }
  const int64_t dilation = tap_distance(shape.window), vectors = padded_vectors(shape.in_channels);
  const bool code = form == LayerForm::kCode && !taps_lie_apart(shape.window);
  if (code) {
    forms.push_back(pack_jit(weights, dilation, vectors, source.clamp, prefetch_calls(shape.axes, source.rows)));
  }
  if (!code || (source.rows < 0 && shape.axes == Axes::kTokens)) {
    forms.push_back(pack_spmm(weights, dilation, vectors, spmm_chunk_vectors(work, stored, target.isa)));
  }
  return forms;
}

std::vector<PackedLayer> pack_floats(const LayerSource& source) {
  const LayerWeights& weights = source.floats;
  const LinearShape& shape = source.shape;
  const int64_t rows = source.rows;
  std::vector<PackedLayer> forms;
  if (is_depthwise(shape)) {
    forms.push_back(pack_depthwise(weights));
    return forms;
  }
  const LayerWork work{false, shape.out_channels, weights.weight.channels * weights.weight.taps, vectors_of(rows)};
  const auto stored = static_cast<double>(weights.nonzeros());
  const bool few_are_sparse = few_rows_are_sparse(work, stored, source);
  const bool may_be_few = is_pointwise(shape) && rows < row_major_below(/*bytes=*/false, few_are_sparse);
  if (!may_be_few || rows < 0) forms = pack_lanes_of_floats(source, work, stored);
  if (may_be_few) forms.push_back(pack_few_rows(weights, few_are_sparse));
  return forms;
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
  source.shape = *stage.op.layer();
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
  LayerPack pack;
  if (!source.quantized) {
    pack.forms = pack_floats(source);
    return pack;
  }
  pack.forms = pack_bytes(source);
  pack.float_bias = *source.float_bias;
  if (!pack.float_bias.empty()) {
    pack.float_bias.resize(static_cast<size_t>(round_up(source.shape.out_channels, kQuantizedRows)));
  }
  return pack;
}

}  // namespace sparsecpu
