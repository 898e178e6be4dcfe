// Depthwise weights:
//
//   weights  f32 | channel 0: tap 0, tap 1, ... | channel 1: ... |
//   bias     f32 | [channel]
#include "pack/fold.h"

namespace sparsecpu {

PackedDepthwise pack_depthwise(const LayerWeights& layer) {
  check_layer(layer);
  const WeightView& weight = layer.weight;
  if (weight.channels != 1 || layer.groups != weight.rows) {
    throw Error("pack_depthwise: each output channel must be a group of one input channel");
  }
  Arena arena;
  const int64_t weights_at = arena.reserve(checked_mul(weight.rows, weight.taps), sizeof(float));
  const int64_t bias_at = arena.reserve(weight.rows, sizeof(float));
  PackedDepthwise packed;
  packed.memory = arena.allocate();
  float* weights = reinterpret_cast<float*>(packed.memory.data() + weights_at);
  float* bias = reinterpret_cast<float*>(packed.memory.data() + bias_at);
  for (int64_t row = 0; row < weight.rows; ++row) {
    bias[row] = folded_bias(layer, row);
    for (int64_t tap = 0; tap < weight.taps; ++tap) {
      weights[row * weight.taps + tap] = folded_weight(layer, row, 0, tap);
    }
  }
  packed.view = {static_cast<int>(weight.taps), weights, bias};
  return packed;
}

}  // namespace sparsecpu
