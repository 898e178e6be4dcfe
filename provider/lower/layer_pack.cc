#include "lower/layer_pack.h"

#include <algorithm>

#include "base/quantization.h"

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

// Where the model leaves rows open, most calls with a few have one.
bool few_rows_are_sparse(const LayerWork& work, double stored, int64_t rows, Isa isa) {
  const int64_t m = rows < 0 ? 1 : rows;
  return few_rows_sparse_us(work, stored, m, isa) < few_rows_dense_us(work, m, isa);
}

bool is_depthwise(const LinearShape& s) {
  return s.groups > 1 && s.groups == s.in_channels && s.groups == s.out_channels;
}

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

// What generated code does with the sums of this stage.
JitFinishForm finish_form(const Stage& stage, const QuantizedLinear& linear) {
  using Kind = JitFinishForm::Kind;
  if (linear.output == QuantizedLinear::Output::kFloat) return {};
  const bool lookup = stage.table && jit_looks_up();
  if (!stage.sum) return {Kind::kBytes, lookup};
  const SumRatios ratios = quantized_sum(stage.sum->a, stage.sum->b, stage.sum->y);
  if (stage.sum->y.is_signed || !jit_clamps(ratios.a_ratio, ratios.b_ratio, ratios.shift)) return {};
  return {stage.residual_is_a ? Kind::kResidualIsA : Kind::kSum, lookup};
}

LayerPack pack_quantized(const Stage& stage, const QuantizedLinear& linear, const LinearShape& shape, int64_t rows,
                         const KernelTable& kernels, Target target) {
  const QuantizedLayer layer = quantized_layer(linear);
  LayerPack pack;
  pack.float_bias = linear.float_bias;
  if (!pack.float_bias.empty()) {
    pack.float_bias.resize(static_cast<size_t>(round_up(linear.out_channels, kQuantizedRows)));
  }
  if (is_depthwise(shape)) {
    pack.qdepthwise = pack_qdepthwise(layer);
    return pack;
  }
  const LayerWork work{true, shape.out_channels, shape.taps * ceil_div(linear.weight.channels, 4), vectors_of(rows)};
  const auto stored = static_cast<double>(layer.nonzero_groups());
  // Row-major kernels read unsigned bytes and write them, or floats.
  const bool unsigned_bytes =
      !linear.x.is_signed && (linear.output == QuantizedLinear::Output::kFloat || !linear.y.is_signed);
  const bool may_be_few = is_pointwise(shape) && unsigned_bytes && (rows < 0 || rows < kFewRows);
  if (may_be_few) pack.qfew_rows = pack_qfew_rows(layer, few_rows_are_sparse(work, stored, rows, target.isa));
  if (may_be_few && rows >= 0) return pack;
  if (shape.groups == 1 && dense_us(work, target.isa) < sparse_us(work, stored, target)) {
    pack.qdense = pack_qdense(layer);
    return pack;
  }
  if (generates_code(target, work.bytes)) {
    pack.qjit = pack_qjit(layer, shape.window.dilation[1], padded_vectors(ceil_div(shape.in_channels, 4)),
                          finish_form(stage, linear), prefetch_calls(shape.axes, rows));
  } else {
    pack.qspmm = pack_qspmm(layer, shape.window.dilation[1], padded_vectors(ceil_div(shape.in_channels, 4)),
                            kQuantizedChunkVectors, kernels.quantized->split_pairs);
  }
  return pack;
}

}  // namespace

LayerPack pack_layer(const Stage& stage, int64_t rows, const KernelTable& kernels, Target target) {
  const LinearShape shape = *linear_shape(stage.op.data);
  if (const auto* quantized = std::get_if<QuantizedLinear>(&stage.op.data)) {
    return pack_quantized(stage, *quantized, shape, rows, kernels, target);
  }
  const Linear& linear = std::get<Linear>(stage.op.data);
  const LayerWeights weights = layer_weights(stage, linear);
  const LayerWork work{false, linear.out_channels, linear.weight.channels * linear.weight.taps, vectors_of(rows)};
  const auto stored = static_cast<double>(weights.nonzeros());
  LayerPack pack;
  if (is_depthwise(shape)) {
    pack.depthwise = pack_depthwise(weights);
    return pack;
  }
  const bool few_are_sparse = few_rows_are_sparse(work, stored, rows, target.isa);
  if (is_pointwise(shape) && rows < row_major_below(/*bytes=*/false, few_are_sparse)) {
    pack.few_rows = pack_few_rows(weights, few_are_sparse);
    if (rows >= 0) return pack;
  }
  if (linear.groups == 1 && dense_us(work, target.isa) < sparse_us(work, stored, target)) {
    pack.dense = pack_dense(weights);
    return pack;
  }
  const bool code = runs_code(work, target);
  if (code) {
    pack.jit = pack_jit(weights, linear.window.dilation[1], padded_vectors(linear.in_channels), stage.clamp,
                        prefetch_calls(shape.axes, rows));
  }
  const bool may_be_short = rows < 0 && shape.axes == Axes::kTokens;
  if (!code || may_be_short) {
    pack.spmm = pack_spmm(weights, linear.window.dilation[1], padded_vectors(linear.in_channels),
                          spmm_chunk_vectors(work, stored));
  }
  return pack;
}

}  // namespace sparsecpu
