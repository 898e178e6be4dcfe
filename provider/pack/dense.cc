// Dense weights in register blocks:
//
//   weights  f32 | block 0: k = 0: rows 0..5 | k = 1: rows 0..5 | ... | block 1: k = 0: rows 6..11 | ...
//   bias     f32 | [row], padded with zeros to whole blocks
//
// k ascends in (kernel row, kernel column, channel); rows past the last are zeros.
#include "pack/fold.h"

namespace sparsecpu {

PackedDense pack_dense(const LayerWeights& layer) {
  check_layer(layer);
  if (layer.groups != 1) throw Error("pack_dense: a grouped convolution has no dense form");
  const WeightView& weight = layer.weight;
  const int64_t k = checked_mul(weight.channels, weight.taps);
  const int64_t rows = round_up(weight.rows, kDenseRows);
  Arena arena;
  const int64_t weights_at = arena.reserve(checked_mul(rows, k), sizeof(float));
  const int64_t bias_at = arena.reserve(rows, sizeof(float));
  PackedDense packed;
  packed.memory = arena.allocate();
  float* weights = reinterpret_cast<float*>(packed.memory.data() + weights_at);
  float* bias = reinterpret_cast<float*>(packed.memory.data() + bias_at);
  for (int64_t row = 0; row < rows; ++row) bias[row] = row < weight.rows ? folded_bias(layer, row) : 0.0f;

  float* next = weights;
  for (int64_t first = 0; first < rows; first += kDenseRows) {
    for (int64_t tap = 0; tap < weight.taps; ++tap) {
      for (int64_t channel = 0; channel < weight.channels; ++channel) {
        for (int64_t row = first; row < first + kDenseRows; ++row) {
          *next++ = row < weight.rows ? folded_weight(layer, row, channel, tap) : 0.0f;
        }
      }
    }
  }
  packed.view = {weight.rows, k, bias, weights};
  return packed;
}

}  // namespace sparsecpu
