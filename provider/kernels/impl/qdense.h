// Dense INT8 weights times lane-blocked bytes: four rows (a vector of the output) x P positions of accumulators
// in registers, all of K in one pass.
#pragma once
#include "kernels/impl/qoutput.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// Positions a register block holds: 24 zmm of accumulators with VNNI, 16 without, 8 ymm.
#if defined(SPARSECPU_LEVEL_VNNI)
constexpr int kQDensePositions = 6;
#elif defined(SPARSECPU_LEVEL_AVX512)
constexpr int kQDensePositions = 4;
#else
constexpr int kQDensePositions = 1;
#endif

template <int P>
void qdense_quad(const QDenseWeights& w, int64_t row, const ptrdiff_t* offsets, const LaneTile& tile, int first,
                 const QuantizedOutput& out) {
  const uint32_t* weight = w.weights + row * w.k;
  const float* x[P];
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) x[p] = tile.x[first + p];
  Ints acc[P][4];
  SPARSECPU_UNROLL
  for (int j = 0; j < 4; ++j) {
    const Ints bias = set_int(out.bias[row + j]);
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) acc[p][j] = bias;
  }
  for (int64_t k = 0; k < w.k; ++k, weight += 4) {
    Input input[P];
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) input[p] = input_of(load_bytes(x[p] + offsets[k]));
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) {
      const Factor factor = factor_of(set_lane(weight[j]));
      SPARSECPU_UNROLL
      for (int p = 0; p < P; ++p) acc[p][j] = add_product(acc[p][j], input[p], factor);
    }
  }
  // A copy: accumulators whose address is taken would not stay in registers above.
  Ints done[P][4];
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) {
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) done[p][j] = acc[p][j];
  }
  with_finish(out, w.rows, [&](const auto& finish) {
    SPARSECPU_UNROLL
    for (int p = 0; p < P; ++p) finish(done[p], row, tile.y[first + p], tile.residual[first + p]);
  });
}

template <int P>
SPARSECPU_INLINE void qdense_rows(const QDenseWeights& w, int64_t begin, int64_t end, const ptrdiff_t* offsets,
                                  const LaneTile& tile, int first, const QuantizedOutput& out) {
  for (int64_t row = begin; row < end; row += 4) qdense_quad<P>(w, row, offsets, tile, first, out);
}

// The tile in nearly equal parts, as few as the registers allow.
void qdense(const QDenseWeights& w, int64_t block_begin, int64_t block_end, const ptrdiff_t* offsets,
            const LaneTile& tile, const QuantizedOutput& out) {
  const int64_t begin = block_begin * kQuantizedRows, last = block_end * kQuantizedRows;
  const int64_t end = last < w.rows ? last : w.rows;
  const int parts = (tile.positions + kQDensePositions - 1) / kQDensePositions;
  for (int part = 0; part < parts; ++part) {
    const int first = tile.positions * part / parts;
    switch (tile.positions * (part + 1) / parts - first) {
#if defined(SPARSECPU_LEVEL_AVX512)
#if defined(SPARSECPU_LEVEL_VNNI)
      case 6:
        qdense_rows<6>(w, begin, end, offsets, tile, first, out);
        break;
      case 5:
        qdense_rows<5>(w, begin, end, offsets, tile, first, out);
        break;
#endif
      case 4:
        qdense_rows<4>(w, begin, end, offsets, tile, first, out);
        break;
      case 3:
        qdense_rows<3>(w, begin, end, offsets, tile, first, out);
        break;
      case 2:
        qdense_rows<2>(w, begin, end, offsets, tile, first, out);
        break;
#endif
      default:
        qdense_rows<1>(w, begin, end, offsets, tile, first, out);
        break;
    }
  }
  for (int p = 0; p < tile.positions; ++p) look_up_rows(out, begin, end, tile.y[p]);
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
