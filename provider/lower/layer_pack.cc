#include "lower/layer_pack.h"

#include <algorithm>

#include "base/quantization.h"

namespace sparsecpu {
namespace {

// Vectors of 64 bytes in a chunk of K of the int8 kernel: with a tile they must stay in the L1 data cache.
constexpr int64_t kQuantizedChunkVectors = 128;

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

int64_t spmm_chunk_vectors(double density) {
  return std::max<int64_t>(kSpmmChunkVectors, static_cast<int64_t>(kChunkRowNonzeros / std::max(density, 0.01)));
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
                         const KernelTable& kernels, bool jit) {
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
  const int64_t all = shape.out_channels * shape.taps * ceil_div(linear.weight.channels, 4);
  const bool dense = static_cast<double>(layer.nonzero_groups()) > kDenseFromGroupDensity * static_cast<double>(all);
  // Row-major kernels read unsigned bytes and write them, or floats.
  const bool unsigned_bytes =
      !linear.x.is_signed && (linear.output == QuantizedLinear::Output::kFloat || !linear.y.is_signed);
  const bool may_be_few = is_pointwise(shape) && unsigned_bytes && (rows < 0 || rows < kFewRows);
  if (may_be_few) pack.qfew_rows = pack_qfew_rows(layer, !dense);
  if (may_be_few && rows >= 0) return pack;
  if (dense && shape.groups == 1) {
    pack.qdense = pack_qdense(layer);
    return pack;
  }
  if (jit) {
    pack.qjit = pack_qjit(layer, shape.window.dilation[1], padded_vectors(ceil_div(shape.in_channels, 4)),
                          finish_form(stage, linear), prefetch_calls(shape.axes, rows));
  } else {
    pack.qspmm = pack_qspmm(layer, shape.window.dilation[1], padded_vectors(ceil_div(shape.in_channels, 4)),
                            kQuantizedChunkVectors, kernels.quantized->split_pairs);
  }
  return pack;
}

}  // namespace

LayerPack pack_layer(const Stage& stage, int64_t rows, const KernelTable& kernels, JitUse jit) {
  const LinearShape shape = *linear_shape(stage.op.data);
  if (const auto* quantized = std::get_if<QuantizedLinear>(&stage.op.data)) {
    return pack_quantized(stage, *quantized, shape, rows, kernels, jit.bytes);
  }
  const Linear& linear = std::get<Linear>(stage.op.data);
  const LayerWeights weights = layer_weights(stage, linear);
  const int64_t positions = linear.weight.rows * linear.weight.channels * linear.weight.taps;
  const double density = positions > 0 ? static_cast<double>(weights.nonzeros()) / static_cast<double>(positions) : 0.0;
  const bool dense = density > (jit.floats ? kDenseFromDensityOfCode : kDenseFromDensity);
  LayerPack pack;
  if (is_depthwise(shape)) {
    pack.depthwise = pack_depthwise(weights);
    return pack;
  }
  const bool may_be_few = is_pointwise(shape) && (rows < 0 || rows < kFewRows);
  if (may_be_few) pack.few_rows = pack_few_rows(weights, !dense);
  if (may_be_few && rows >= 0) return pack;
  if (dense && linear.groups == 1) {
    pack.dense = pack_dense(weights);
    return pack;
  }
  if (jit.floats) {
    pack.jit = pack_jit(weights, linear.window.dilation[1], padded_vectors(linear.in_channels), stage.clamp,
                        prefetch_calls(shape.axes, rows));
  } else {
    pack.spmm =
        pack_spmm(weights, linear.window.dilation[1], padded_vectors(linear.in_channels), spmm_chunk_vectors(density));
  }
  return pack;
}

}  // namespace sparsecpu
