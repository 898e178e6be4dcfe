// Sparse weights times lane-blocked activations. A row's accumulators, one vector a position, stay in
// registers for a chunk of K; each nonzero costs one broadcast and one load-and-FMA a position. The chunk's
// input vectors are meant to stay in the L1 cache while all rows of the call pass over them.
//
// An output's terms are added in the order of the stream whatever the tile and the block range, so results
// depend on neither.
#pragma once
#include "kernels/impl/vec.h"
#include "kernels/kernels.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// One chunk of K for the rows of blocks [block_begin, block_end) at positions [first, first + P).
struct SpmmPass {
  const SpmmWeights& weights;
  int64_t row_begin, row_end;
  int chunk;
  ptrdiff_t base;
  Clamp clamp;
};

template <int P>
SPARSECPU_INLINE void spmm_start(Vec (&acc)[P], const SpmmPass& pass, const LaneTile& tile, int first, int64_t row) {
  if (pass.chunk > 0) {
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) acc[p] = load(tile.y[first + p] + row * kLanes);
    return;
  }
  const Vec bias = set1(pass.weights.bias[row]);
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) {
    const float* residual = tile.residual[first + p];
    acc[p] = residual ? add(bias, load(residual + row * kLanes)) : bias;
  }
}

template <int P>
SPARSECPU_INLINE void spmm_add(Vec (&acc)[P], float weight, const float* const (&x)[P], size_t offset) {
  const Vec factor = set1(weight);
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) acc[p] = fma(factor, load(x[p] + offset * kLanes), acc[p]);
}

template <int P>
void spmm_pass(const SpmmPass& pass, const LaneTile& tile, int first) {
  const SpmmWeights& w = pass.weights;
  const bool is_first = pass.chunk == 0, is_last = pass.chunk == w.chunks - 1;
  const uint32_t* begin = w.begin + pass.chunk * w.rows;
  const uint8_t* order = w.order + pass.chunk * w.rows;
  const Vec lo = set1(pass.clamp.lo), hi = set1(pass.clamp.hi);
  const float* x[P];
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) x[p] = tile.x[first + p] + pass.base;
  for (int64_t slot = pass.row_begin; slot < pass.row_end; ++slot) {
    const float* weight = w.weights + begin[slot];
    const float* const weight_end = w.weights + begin[slot + 1];
    if (weight == weight_end && !is_first && !is_last) continue;
    const uint16_t* offset = w.offsets + begin[slot];
    const int64_t row = slot / kSpmmRows * kSpmmRows + order[slot];
    Vec acc[P];
    spmm_start<P>(acc, pass, tile, first, row);
    // Two nonzeros a turn, their offsets in one load: loads are what the loop runs out of. 10-25 % faster.
    for (; weight + 1 < weight_end; weight += 2, offset += 2) {
      uint32_t two;
      __builtin_memcpy(&two, offset, sizeof two);
      spmm_add<P>(acc, weight[0], x, two & 0xffff);
      spmm_add<P>(acc, weight[1], x, two >> 16);
    }
    if (weight < weight_end) spmm_add<P>(acc, *weight, x, *offset);
    if (is_last) {
      SPARSECPU_UNROLL
      for (int p = 0; p < P; ++p) acc[p] = clamp(acc[p], lo, hi);
    }
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) store(tile.y[first + p] + row * kLanes, acc[p]);
  }
}

// Positions [first, ...) of the tile, as many as the registers hold; returns how many.
SPARSECPU_INLINE int spmm_group(const SpmmPass& pass, const LaneTile& tile, int first) {
  const int left = tile.positions - first;
#if defined(SPARSECPU_LEVEL_AVX512)
  switch (left) {
    case 8: return spmm_pass<8>(pass, tile, first), 8;
    case 7: return spmm_pass<7>(pass, tile, first), 7;
    case 6: return spmm_pass<6>(pass, tile, first), 6;
    case 5: return spmm_pass<5>(pass, tile, first), 5;
    default: break;
  }
#endif
#if !defined(SPARSECPU_LEVEL_SCALAR)
  if (left >= 4) return spmm_pass<4>(pass, tile, first), 4;
  if (left == 3) return spmm_pass<3>(pass, tile, first), 3;
  if (left == 2) return spmm_pass<2>(pass, tile, first), 2;
#endif
  (void)left;
  return spmm_pass<1>(pass, tile, first), 1;
}

void spmm(const SpmmWeights& weights, int64_t block_begin, int64_t block_end, const ptrdiff_t* chunk_base,
          const LaneTile& tile, Clamp clamp) {
  const int64_t end = block_end * kSpmmRows;
  for (int first = 0; first < tile.positions;) {
    int done = 0;
    for (int chunk = 0; chunk < weights.chunks; ++chunk) {
      const SpmmPass pass{weights, block_begin * kSpmmRows, end < weights.rows ? end : weights.rows,
                          chunk,   chunk_base[chunk],       clamp};
      done = spmm_group(pass, tile, first);
    }
    first += done;
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
