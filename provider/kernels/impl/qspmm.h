// Sparse INT8 weights times lane-blocked bytes, as spmm.h does it for floats: a row's accumulators stay in
// registers for a chunk of K, each stored group costs one broadcast and one load-and-multiply a position. Since
// four rows share a vector of the output, sums wait in a scratch block on the stack until their rows are complete.
#pragma once
#include "kernels/impl/qoutput.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// Sums of a block of rows: at 8 positions 8 KB, beside a chunk's input vectors in the L1 cache.
template <int P>
struct QSpmmSums {
  alignas(64) int32_t at[kQuantizedRows][P][kLanes];
};

template <int P>
SPARSECPU_INLINE void qspmm_add(Ints (&acc)[P], uint32_t weight, const float* const (&x)[P], size_t offset) {
  const Bytes factor = set_lane(weight);
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) acc[p] = add_product_split(acc[p], load_bytes(x[p] + offset * kLanes), factor);
}

template <int P>
SPARSECPU_INLINE void qspmm_chunk(const QSpmmWeights& w, int64_t block, int chunk, const int32_t* bias,
                                  const float* const (&x)[P], QSpmmSums<P>& sums) {
  const int64_t first_slot = (chunk * w.blocks() + block) * kQuantizedRows;
  for (int64_t slot = first_slot; slot < first_slot + kQuantizedRows; ++slot) {
    const uint32_t* weight = w.weights + w.begin[slot];
    const uint32_t* const weight_end = w.weights + w.begin[slot + 1];
    if (chunk > 0 && weight == weight_end) return;  // slots are sorted: the rest is empty too
    const uint16_t* offset = w.offsets + w.begin[slot];
    const int row = w.order[slot];
    Ints acc[P];
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) acc[p] = chunk > 0 ? load_ints(sums.at[row][p]) : set_int(bias[row]);
    for (; weight + 1 < weight_end; weight += 2, offset += 2) {
      uint32_t two;
      __builtin_memcpy(&two, offset, sizeof two);
      qspmm_add<P>(acc, weight[0], x, two & 0xffff);
      qspmm_add<P>(acc, weight[1], x, two >> 16);
    }
    if (weight < weight_end) qspmm_add<P>(acc, *weight, x, *offset);
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) store_ints(sums.at[row][p], acc[p]);
  }
}

template <int P>
void qspmm_block(const QSpmmWeights& w, int64_t block, const ptrdiff_t* chunk_base, const LaneTile& tile, int first,
                 const QuantizedOutput& out) {
  const int64_t first_row = block * kQuantizedRows;
  QSpmmSums<P> sums;
  for (int chunk = 0; chunk < w.chunks; ++chunk) {
    const float* x[P];
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) x[p] = tile.x[first + p] + chunk_base[chunk];
    qspmm_chunk<P>(w, block, chunk, out.bias + first_row, x, sums);
  }
  with_finish(out, w.rows, [&](const auto& finish) {
    for (int quad = 0; quad < kQuantizedRows && first_row + quad < w.rows; quad += 4) {
      SPARSECPU_UNROLL
      for (int p = 0; p < P; ++p) {
        Ints acc[4];
        SPARSECPU_UNROLL
        for (int j = 0; j < 4; ++j) acc[j] = load_ints(sums.at[quad + j][p]);
        finish(acc, first_row + quad, tile.y[first + p], tile.residual[first + p]);
      }
    }
  });
  const int64_t end_row = first_row + kQuantizedRows < w.rows ? first_row + kQuantizedRows : w.rows;
  for (int p = 0; p < P; ++p) look_up_rows(out, first_row, end_row, tile.y[first + p]);
}

template <int P>
SPARSECPU_INLINE int qspmm_blocks(const QSpmmWeights& w, int64_t begin, int64_t end, const ptrdiff_t* chunk_base,
                                  const LaneTile& tile, int first, const QuantizedOutput& out) {
  for (int64_t block = begin; block < end; ++block) qspmm_block<P>(w, block, chunk_base, tile, first, out);
  return P;
}

void qspmm(const QSpmmWeights& w, int64_t begin, int64_t end, const ptrdiff_t* chunk_base, const LaneTile& tile,
           const QuantizedOutput& out) {
  for (int first = 0; first < tile.positions;) {
    switch (tile.positions - first) {
#if defined(SPARSECPU_LEVEL_AVX512)
      case 8:
        first += qspmm_blocks<8>(w, begin, end, chunk_base, tile, first, out);
        break;
      case 7:
        first += qspmm_blocks<7>(w, begin, end, chunk_base, tile, first, out);
        break;
      case 6:
        first += qspmm_blocks<6>(w, begin, end, chunk_base, tile, first, out);
        break;
      case 5:
        first += qspmm_blocks<5>(w, begin, end, chunk_base, tile, first, out);
        break;
#endif
#if !defined(SPARSECPU_LEVEL_SCALAR)
      default:
        first += qspmm_blocks<4>(w, begin, end, chunk_base, tile, first, out);
        break;
      case 3:
        first += qspmm_blocks<3>(w, begin, end, chunk_base, tile, first, out);
        break;
      case 2:
        first += qspmm_blocks<2>(w, begin, end, chunk_base, tile, first, out);
        break;
      case 1:
#else
      default:
#endif
        first += qspmm_blocks<1>(w, begin, end, chunk_base, tile, first, out);
    }
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
