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

// One chunk of K for rows [row_begin, row_end).
struct SpmmPass {
  const SpmmWeights& weights;
  int64_t row_begin, row_end;
  int chunk;
  ptrdiff_t base;
  Clamp limits;
};

constexpr int64_t kRowsAhead = 2 * kSpmmRows;

// What a row's accumulators start from.
enum class SpmmStart { kBias, kBiasAndResidual, kPreviousChunk };

template <int P>
SPARSECPU_INLINE void spmm_add(Vec (&acc)[P], float weight, const float* const (&x)[P], size_t offset) {
  const Vec factor = set1(weight);
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) acc[p] = fma(factor, load(x[p] + offset * kLanes), acc[p]);
}

// Two nonzeros a turn, their offsets in one load: 10-25 % faster.
template <int P>
SPARSECPU_INLINE void spmm_add_two(Vec (&acc)[P], const float* weight, const uint16_t* offset,
                                   const float* const (&x)[P]) {
  uint32_t two;
  __builtin_memcpy(&two, offset, sizeof two);
  spmm_add<P>(acc, weight[0], x, two & 0xffff);
  spmm_add<P>(acc, weight[1], x, two >> 16);
}

template <int P, SpmmStart Start>
SPARSECPU_INLINE void spmm_start(Vec (&acc)[P], float bias, const LaneTile& tile, int first, int64_t row) {
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) {
    if constexpr (Start == SpmmStart::kPreviousChunk) {
      acc[p] = load(tile.y[first + p] + row * kLanes);
    } else {
      acc[p] = set1(bias);
      if (Start == SpmmStart::kBiasAndResidual && tile.residual[first + p]) {
        acc[p] = add(acc[p], load(tile.residual[first + p] + row * kLanes));
      }
    }
  }
}

// Into the cache: what a row some way ahead will read and write. A row's sums are short, and rows in the order of their
// lengths are no stream that could be foreseen: without this, tensors larger than the cache are waited for line by
// line.
template <int P, SpmmStart Start>
SPARSECPU_INLINE void spmm_bring_row(const LaneTile& tile, int first, float* const (&y)[P], int64_t row) {
  if constexpr (Start == SpmmStart::kPreviousChunk) return;  // these were just written
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) {
    __builtin_prefetch(y[p] + row * kLanes, 1);
    if (Start == SpmmStart::kBiasAndResidual && tile.residual[first + p]) {
      __builtin_prefetch(tile.residual[first + p] + row * kLanes);
    }
  }
}

// Positions [first, first + P), row by row. Loads are what this loop runs out of first, hence the care with pointers.
template <int P, SpmmStart Start>
void spmm_pass(const SpmmPass& pass, const LaneTile& tile, int first) {
  const SpmmWeights& w = pass.weights;
  const bool is_last = pass.chunk == w.chunks - 1;
  const uint32_t* begin = w.begin + pass.chunk * w.rows;
  const uint8_t* order = w.order + pass.chunk * w.rows;
  const float* const weights = w.weights;
  const float* const bias = w.bias;
  const Vec lo = set1(pass.limits.lo), hi = set1(pass.limits.hi);
  const float* x[P];
  float* y[P];
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) {
    x[p] = tile.x[first + p] + pass.base;
    y[p] = tile.y[first + p];
  }
  const float* weight = weights + begin[pass.row_begin];
  const uint16_t* offset = w.offsets + begin[pass.row_begin];
  for (int64_t slot = pass.row_begin; slot < pass.row_end; ++slot) {
    const float* const weight_end = weights + begin[slot + 1];
    if (Start == SpmmStart::kPreviousChunk && weight == weight_end && !is_last) continue;
    const int64_t row = slot / kSpmmRows * kSpmmRows + order[slot];
    Vec acc[P];
    spmm_start<P, Start>(acc, bias[row], tile, first, row);
    spmm_bring_row<P, Start>(tile, first, y, slot + kRowsAhead);
    for (; weight + 1 < weight_end; weight += 2, offset += 2) spmm_add_two<P>(acc, weight, offset, x);
    if (weight < weight_end) spmm_add<P>(acc, *weight++, x, *offset++);
    if (is_last) {
      SPARSECPU_UNROLL
      for (int p = 0; p < P; ++p) acc[p] = clamp(acc[p], lo, hi);
    }
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) store(y[p] + row * kLanes, acc[p]);
  }
}

// Into the cache: rows side by side are streams too short to be foreseen. May run past the end.
SPARSECPU_INLINE void spmm_bring(const SpmmWeights& w, int64_t first, int64_t count) {
  constexpr int64_t kLine = 64;
  const auto line = [](const void* array, int64_t byte) { __builtin_prefetch(static_cast<const char*>(array) + byte); };
  for (int64_t i = 0; i < count * 4; i += kLine) line(w.weights, first * 4 + i);
  for (int64_t i = 0; i < count * 2; i += kLine) line(w.offsets, first * 2 + i);
}

// R slots from `slot` on at once. Slots are sorted by length: next to one another they have nearly as many nonzeros.
template <int P, int R, SpmmStart Start>
SPARSECPU_INLINE void spmm_slots(const SpmmPass& pass, const LaneTile& tile, int first, int64_t slot) {
  const SpmmWeights& w = pass.weights;
  const uint32_t* begin = w.begin + pass.chunk * w.rows + slot;
  const uint8_t* order = w.order + pass.chunk * w.rows + slot;
  const float* x[P];
  const float* weight[R];
  const uint16_t* offset[R];
  int64_t row[R];
  Vec acc[R][P];
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) x[p] = tile.x[first + p] + pass.base;
  SPARSECPU_UNROLL
  for (int r = 0; r < R; ++r) {
    row[r] = (slot + r) / kSpmmRows * kSpmmRows + order[r];
    weight[r] = w.weights + begin[r];
    offset[r] = w.offsets + begin[r];
    spmm_start<P, Start>(acc[r], w.bias[row[r]], tile, first, row[r]);
  }
  spmm_bring(w, begin[R] + (begin[R] - begin[0]), begin[R] - begin[0]);
  int64_t fewest = begin[1] - begin[0];
  SPARSECPU_UNROLL
  for (int r = 1; r < R; ++r) fewest = begin[r + 1] - begin[r] < fewest ? begin[r + 1] - begin[r] : fewest;
  int64_t i = 0;
  for (; i + 2 <= fewest; i += 2) {
    SPARSECPU_UNROLL
    for (int r = 0; r < R; ++r) spmm_add_two<P>(acc[r], weight[r] + i, offset[r] + i, x);
  }
  const bool is_last = pass.chunk == w.chunks - 1;
  SPARSECPU_UNROLL
  for (int r = 0; r < R; ++r) {
    const int64_t count = begin[r + 1] - begin[r];
    int64_t j = i;
    for (; j + 2 <= count; j += 2) spmm_add_two<P>(acc[r], weight[r] + j, offset[r] + j, x);
    if (j < count) spmm_add<P>(acc[r], weight[r][j], x, offset[r][j]);
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) {
      if (is_last) acc[r][p] = clamp(acc[r][p], set1(pass.limits.lo), set1(pass.limits.hi));
      store(tile.y[first + p] + row[r] * kLanes, acc[r][p]);
    }
  }
}

// Positions [first, first + P), several rows at once: of one or two positions a row's sums would wait for one another.
// 1.5 to 2 times as fast for one position, 1.05 to 1.25 times for two.
template <int P, SpmmStart Start>
void spmm_pass_of_few(const SpmmPass& pass, const LaneTile& tile, int first) {
  constexpr int kRows = 4 / P;
  int64_t slot = pass.row_begin;
  for (; slot + kRows <= pass.row_end; slot += kRows) spmm_slots<P, kRows, Start>(pass, tile, first, slot);
  for (; slot < pass.row_end; ++slot) spmm_slots<P, 1, Start>(pass, tile, first, slot);
}

template <int P, SpmmStart Start>
SPARSECPU_INLINE int spmm_pass_from(const SpmmPass& pass, const LaneTile& tile, int first) {
  if constexpr (P <= 2) {
    spmm_pass_of_few<P, Start>(pass, tile, first);
  } else {
    spmm_pass<P, Start>(pass, tile, first);
  }
  return P;
}

template <int P>
SPARSECPU_INLINE int spmm_positions(const SpmmPass& pass, const LaneTile& tile, int first) {
  if (pass.chunk > 0) return spmm_pass_from<P, SpmmStart::kPreviousChunk>(pass, tile, first);
  bool any = false;
  for (int p = 0; p < P; ++p) any = any || tile.residual[first + p];
  if (any) return spmm_pass_from<P, SpmmStart::kBiasAndResidual>(pass, tile, first);
  return spmm_pass_from<P, SpmmStart::kBias>(pass, tile, first);
}

// Positions [first, ...) of the tile, as many as the registers hold; returns how many.
SPARSECPU_INLINE int spmm_group(const SpmmPass& pass, const LaneTile& tile, int first) {
  const int left = tile.positions - first;
#if defined(SPARSECPU_LEVEL_AVX512)
  switch (left) {
    case 8:
      return spmm_positions<8>(pass, tile, first);
    case 7:
      return spmm_positions<7>(pass, tile, first);
    case 6:
      return spmm_positions<6>(pass, tile, first);
    case 5:
      return spmm_positions<5>(pass, tile, first);
    default:
      break;
  }
#endif
#if !defined(SPARSECPU_LEVEL_SCALAR)
  if (left >= 4) return spmm_positions<4>(pass, tile, first);
  if (left == 3) return spmm_positions<3>(pass, tile, first);
  if (left == 2) return spmm_positions<2>(pass, tile, first);
#endif
  (void)left;
  return spmm_positions<1>(pass, tile, first);
}

void spmm(const SpmmWeights& weights, int64_t block_begin, int64_t block_end, const ptrdiff_t* chunk_base,
          const LaneTile& tile, Clamp clamp) {
  if (block_begin >= block_end) return;
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
