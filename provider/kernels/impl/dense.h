// Dense weights times lane-blocked activations: kDenseRows rows x P positions of accumulators in registers,
// all of K in one pass. Per k: P loads of input vectors, kDenseRows broadcasts, kDenseRows * P FMAs.
#pragma once
#include "kernels/impl/vec.h"
#include "kernels/kernels.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// Positions a register block holds beside the broadcast weights: 24 zmm, or 12 ymm, of accumulators.
#if defined(SPARSECPU_LEVEL_AVX512)
constexpr int kDensePositions = 4;
#else
constexpr int kDensePositions = 1;
#endif

template <int P>
SPARSECPU_INLINE void dense_sum(Vec (&acc)[kDenseRows][P], const float* weight, int64_t k, const ptrdiff_t* offsets,
                                const float* const (&x)[P]) {
  for (int64_t i = 0; i < k; ++i, weight += kDenseRows) {
    Vec input[P];
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) input[p] = load(x[p] + offsets[i]);
    SPARSECPU_UNROLL
    for (int r = 0; r < kDenseRows; ++r) {
      const Vec factor = set1(weight[r]);
      SPARSECPU_UNROLL
      for (int p = 0; p < P; ++p) acc[r][p] = fma(factor, input[p], acc[r][p]);
    }
  }
}

template <int P>
void dense_block(const DenseWeights& weights, int64_t block, const ptrdiff_t* offsets, const LaneTile& tile, int first,
                 Clamp limits) {
  const int64_t row = block * kDenseRows;
  const int64_t rows = weights.rows - row;  // may exceed kDenseRows; the last block's surplus rows are not stored
  Vec acc[kDenseRows][P];
  const float* x[P];
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) x[p] = tile.x[first + p];
  SPARSECPU_UNROLL
  for (int r = 0; r < kDenseRows; ++r) {
    const Vec bias = set1(weights.bias[row + r]);
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) {
      const float* residual = tile.residual[first + p];
      acc[r][p] = residual && r < rows ? add(bias, load(residual + (row + r) * kLanes)) : bias;
    }
  }
  dense_sum<P>(acc, weights.weights + row * weights.k, weights.k, offsets, x);
  const Vec lo = set1(limits.lo), hi = set1(limits.hi);
  SPARSECPU_UNROLL
  for (int r = 0; r < kDenseRows; ++r) {
    if (r >= rows) break;
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) store(tile.y[first + p] + (row + r) * kLanes, clamp(acc[r][p], lo, hi));
  }
}

void dense(const DenseWeights& weights, int64_t block_begin, int64_t block_end, const ptrdiff_t* offsets,
           const LaneTile& tile, Clamp limits) {
  for (int64_t block = block_begin; block < block_end; ++block) {
    for (int first = 0; first < tile.positions; first += kDensePositions) {
      const int left = tile.positions - first;
#if defined(SPARSECPU_LEVEL_AVX512)
      switch (left) {
        case 1:
          dense_block<1>(weights, block, offsets, tile, first, limits);
          break;
        case 2:
          dense_block<2>(weights, block, offsets, tile, first, limits);
          break;
        case 3:
          dense_block<3>(weights, block, offsets, tile, first, limits);
          break;
        default:
          dense_block<4>(weights, block, offsets, tile, first, limits);
          break;
      }
#else
      (void)left;
      dense_block<1>(weights, block, offsets, tile, first, limits);
#endif
    }
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
