// Weights for few row-major activations. Dense:
//
//   weights    f32 | row 0: k = 0, 1, ..., padded with zeros to a multiple of 16 | row 1: ... |
//   bias       f32 | [row]
//
// Sparse, columns in blocks of 16:
//
//   masks      u16 | row 0: block 0, block 1, ... | row 1: ... |     bit l: column 16 * block + l is nonzero
//   weights    f32 | row 0: its nonzeros in ascending k | row 1: ... | 16 spare
//   row_begin  u32 | [row]: the row's first nonzero
//   bias       f32 | [row]
#include <algorithm>

#include "pack/fold.h"

namespace sparsecpu {
namespace {

constexpr int64_t kBlock = 16;
constexpr int64_t kSpare = 16;              // a block's weights are read as one vector

void pack_sparse(const LayerWeights& layer, PackedFewRows* packed) {
  const Nonzeros nonzeros = collect_nonzeros(layer);
  const int64_t rows = layer.weight.rows, blocks = ceil_div(layer.weight.channels, kBlock);
  packed->nonzeros = nonzeros.begin.back();
  Arena arena;
  const int64_t weights_at = arena.reserve(packed->nonzeros + kSpare, sizeof(float));
  const int64_t masks_at = arena.reserve(checked_mul(rows, blocks), sizeof(uint16_t));
  const int64_t begin_at = arena.reserve(rows, sizeof(uint32_t));
  const int64_t bias_at = arena.reserve(rows, sizeof(float));
  packed->memory = arena.allocate();
  std::byte* base = packed->memory.data();
  float* weights = reinterpret_cast<float*>(base + weights_at);
  uint16_t* masks = reinterpret_cast<uint16_t*>(base + masks_at);
  uint32_t* begin = reinterpret_cast<uint32_t*>(base + begin_at);
  float* bias = reinterpret_cast<float*>(base + bias_at);

  std::copy(nonzeros.value.begin(), nonzeros.value.end(), weights);
  std::fill_n(weights + packed->nonzeros, kSpare, 0.0f);
  std::fill_n(masks, rows * blocks, uint16_t{0});
  for (int64_t row = 0; row < rows; ++row) {
    bias[row] = folded_bias(layer, row);
    begin[row] = static_cast<uint32_t>(nonzeros.begin[row]);
    for (int64_t i = nonzeros.begin[row]; i < nonzeros.begin[row + 1]; ++i) {
      masks[row * blocks + nonzeros.k[i] / kBlock] |= static_cast<uint16_t>(1u << nonzeros.k[i] % kBlock);
    }
  }
  packed->view = {rows, layer.weight.channels, bias, weights, masks, begin};
}

void pack_dense_rows(const LayerWeights& layer, PackedFewRows* packed) {
  check_layer(layer);
  const WeightView& weight = layer.weight;
  const int64_t stride = round_up(weight.channels, kBlock);
  Arena arena;
  const int64_t weights_at = arena.reserve(checked_mul(weight.rows, stride), sizeof(float));
  const int64_t bias_at = arena.reserve(weight.rows, sizeof(float));
  packed->memory = arena.allocate();
  float* weights = reinterpret_cast<float*>(packed->memory.data() + weights_at);
  float* bias = reinterpret_cast<float*>(packed->memory.data() + bias_at);
  // Strips of 16 rows: a transposed matrix is read a cache line at a time.
  for (int64_t first = 0; first < weight.rows; first += kBlock) {
    const int64_t last = std::min(first + kBlock, weight.rows);
    for (int64_t k = 0; k < stride; ++k) {
      for (int64_t row = first; row < last; ++row) {
        const float value = k < weight.channels ? folded_weight(layer, row, k, 0) : 0.0f;
        weights[row * stride + k] = value;
        packed->nonzeros += is_nonzero(value);
      }
    }
    for (int64_t row = first; row < last; ++row) bias[row] = folded_bias(layer, row);
  }
  packed->view = {weight.rows, weight.channels, bias, weights, nullptr, nullptr};
}

}  // namespace

PackedFewRows pack_few_rows(const LayerWeights& layer, bool sparse) {
  if (layer.weight.taps != 1 || layer.groups != 1) {
    throw Error("pack_few_rows: only matrices have a form for few rows, not convolutions with taps or groups");
  }
  PackedFewRows packed;
  if (sparse) {
    pack_sparse(layer, &packed);
  } else {
    pack_dense_rows(layer, &packed);
  }
  return packed;
}

}  // namespace sparsecpu
