#include "lower/layer_pack.h"

namespace sparsecpu {
namespace {

// Above this share of nonzeros the register-blocked dense kernel beats the sparse one.
constexpr double kDenseFromDensity = 0.55;
// Vectors of 64 bytes in a chunk of K: with a tile of positions they must stay in the L1 data cache.
constexpr int64_t kMaxChunkVectors = 128;

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
  if (jit) total += jit->memory.bytes();
  if (spmm) total += spmm->memory.bytes();
  if (dense) total += dense->memory.bytes();
  if (depthwise) total += depthwise->memory.bytes();
  if (few_rows) total += few_rows->memory.bytes();
  return static_cast<int64_t>(total);
}

const char* LayerPack::kernel() const {
  if (depthwise) return "depthwise";
  if (jit) return "jit spmm";
  if (spmm) return "spmm";
  if (dense) return "dense";
  return few_rows && few_rows->view.columns != nullptr ? "few rows, sparse" : "few rows, dense";
}

bool is_pointwise(const Linear& linear) {
  const Window& w = linear.window;
  return linear.groups == 1 && linear.weight.taps == 1 && w.stride[0] == 1 && w.stride[1] == 1 &&
         w.pads == std::array<int64_t, 4>{0, 0, 0, 0} && !linear.transposed_input;
}

LayerPack pack_layer(const Stage& stage, int64_t rows, bool jit) {
  const Linear& linear = std::get<Linear>(stage.op.data);
  const LayerWeights weights = layer_weights(stage, linear);
  const int64_t positions = linear.weight.rows * linear.weight.channels * linear.weight.taps;
  const double density = positions > 0 ? static_cast<double>(weights.nonzeros()) / static_cast<double>(positions) : 0.0;
  const bool dense = density > kDenseFromDensity;
  LayerPack pack;
  if (linear.groups > 1 && linear.groups == linear.in_channels && linear.groups == linear.out_channels) {
    pack.depthwise = pack_depthwise(weights);
    return pack;
  }
  const bool may_be_few = is_pointwise(linear) && (rows < 0 || rows < kFewRows);
  if (may_be_few) pack.few_rows = pack_few_rows(weights, !dense);
  if (may_be_few && rows >= 0) return pack;
  if (dense && linear.groups == 1) {
    pack.dense = pack_dense(weights);
    return pack;
  }
  if (jit) {
    pack.jit = pack_jit(weights, linear.window.dilation[1], linear.in_channels, stage.clamp);
    if (pack.jit->segments.empty()) pack.jit.reset();
  }
  if (!pack.jit) pack.spmm = pack_spmm(weights, linear.window.dilation[1], linear.in_channels, kMaxChunkVectors);
  return pack;
}

}  // namespace sparsecpu
