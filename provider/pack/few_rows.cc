// Weights for few row-major activations. Dense:
//
//   weights    f32 | row 0: k = 0, 1, ..., padded with zeros to a multiple of 16 | row 1: ... |
//   bias       f32 | [row]
//
// Sparse:
//
//   weights    f32 | row 0: its nonzeros in ascending k | row 1: ... |
//   columns    u16 | the same entries: k
//   row_begin  u32 | [row]: the row's first nonzero; one more at the end
//   bias       f32 | [row]
#include <algorithm>

#include "pack/fold.h"

namespace sparsecpu {
namespace {

constexpr int64_t kBlock = 16;
constexpr int64_t kMostColumns = int64_t{1} << 16;

void pack_sparse(const LayerWeights& layer, PackedFewRows* packed) {
  const Nonzeros nonzeros = collect_nonzeros(layer);
  const int64_t rows = layer.weight.rows;
  packed->nonzeros = nonzeros.begin.back();
  Arena arena;
  const int64_t weights_at = arena.reserve(packed->nonzeros, sizeof(float));
  const int64_t columns_at = arena.reserve(packed->nonzeros, sizeof(uint16_t));
  const int64_t begin_at = arena.reserve(rows + 1, sizeof(uint32_t));
  const int64_t bias_at = arena.reserve(rows, sizeof(float));
  packed->memory = arena.allocate();
  std::byte* base = packed->memory.data();
  float* weights = reinterpret_cast<float*>(base + weights_at);
  uint16_t* columns = reinterpret_cast<uint16_t*>(base + columns_at);
  uint32_t* begin = reinterpret_cast<uint32_t*>(base + begin_at);
  float* bias = reinterpret_cast<float*>(base + bias_at);

  std::copy(nonzeros.value.begin(), nonzeros.value.end(), weights);
  std::transform(nonzeros.k.begin(), nonzeros.k.end(), columns, [](uint32_t k) { return static_cast<uint16_t>(k); });
  std::transform(nonzeros.begin.begin(), nonzeros.begin.end(), begin,
                 [](int64_t at) { return static_cast<uint32_t>(at); });
  for (int64_t row = 0; row < rows; ++row) bias[row] = folded_bias(layer, row);
  packed->view = {rows, layer.weight.channels, bias, weights, columns, begin};
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
  if (sparse && layer.weight.channels <= kMostColumns) {
    pack_sparse(layer, &packed);
  } else {
    pack_dense_rows(layer, &packed);
  }
  return packed;
}

}  // namespace sparsecpu
