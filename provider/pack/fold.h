// Weights as the kernels multiply them: BatchNormalization and constant factors folded in.
#pragma once
#include <vector>

#include "pack/pack.h"

namespace sparsecpu {

// Zero of either sign is no term; NaN and infinity are.
inline bool is_nonzero(float weight) { return weight != 0.0f; }

inline float folded_weight(const LayerWeights& layer, int64_t row, int64_t channel, int64_t tap) {
  const float weight = layer.weight.at(row, channel, tap);
  return layer.row_scale ? weight * layer.row_scale[row] : weight;
}

inline float folded_bias(const LayerWeights& layer, int64_t row) {
  float bias = layer.bias ? layer.bias[row] : 0.0f;
  if (layer.row_scale) bias *= layer.row_scale[row];
  return layer.row_shift ? bias + layer.row_shift[row] : bias;
}

// Throws Error if extents or pointers make no sense; what every pack function checks first.
void check_layer(const LayerWeights& layer);

// The nonzeros of every row in ascending k, k = tap * (groups * channels) + input channel: groups as one
// block-diagonal matrix.
struct Nonzeros {
  std::vector<int64_t> begin;  // rows + 1
  std::vector<uint32_t> k;
  std::vector<float> value;
  int64_t columns = 0;  // of k
};
Nonzeros collect_nonzeros(const LayerWeights& layer);

// Hands out consecutive, 64-byte aligned arrays of one buffer: sizes first, then addresses.
class Arena {
 public:
  // Bytes from the start of the buffer to an array of `count` elements.
  int64_t reserve(int64_t count, int64_t element_bytes) {
    const int64_t at = size_;
    size_ = checked_add(size_, round_up(checked_add(checked_mul(count, element_bytes), 0), kCacheLine));
    return at;
  }
  AlignedBuffer allocate() const { return AlignedBuffer(static_cast<size_t>(size_)); }

 private:
  int64_t size_ = 0;
};

}  // namespace sparsecpu
