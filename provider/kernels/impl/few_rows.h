// Matrix times few row-major activations (M < 16): a weight is read once and used M times, so the speed is
// that of the memory the weights come from. Lanes run along K; every (row, m) has one accumulator vector,
// filled in ascending K and summed in a fixed order, so results do not depend on how rows or m are grouped.
#pragma once
#include "kernels/impl/expand.h"
#include "kernels/impl/vec.h"
#include "kernels/kernels.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

SPARSECPU_INLINE void few_rows_store(const FewRowsWeights& weights, const FewRowsArgs& args, int64_t row, int64_t m,
                                     Vec sum) {
  float y = weights.bias[row];
  if (args.residual) y += args.residual[m * args.residual_stride + row];
  y += sum_lanes(sum);
  y = y > args.clamp.lo ? y : (y <= args.clamp.lo ? args.clamp.lo : y);
  y = y < args.clamp.hi ? y : (y >= args.clamp.hi ? args.clamp.hi : y);
  args.y[m * args.y_stride + row] = y;
}

// R rows from `row`, M activations from `m`.
template <int R, int M>
void few_rows_dense(const FewRowsWeights& weights, const FewRowsArgs& args, int64_t row, int64_t m) {
  const int64_t stride = (weights.k + kVec - 1) / kVec * kVec;
  const float* w = weights.weights + row * stride;
  const float* x = args.x + m * args.x_stride;
  Vec acc[R][M];
  SPARSECPU_UNROLL
  for (int r = 0; r < R; ++r) {
    SPARSECPU_UNROLL
    for (int i = 0; i < M; ++i) acc[r][i] = zero();
  }
  const auto step = [&](int64_t k, auto load_input) __attribute__((always_inline)) {
    Vec input[M];
    SPARSECPU_UNROLL
    for (int i = 0; i < M; ++i) input[i] = load_input(x + i * args.x_stride + k);
    SPARSECPU_UNROLL
    for (int r = 0; r < R; ++r) {
      const Vec factor = load(w + r * stride + k);
      SPARSECPU_UNROLL
      for (int i = 0; i < M; ++i) acc[r][i] = fma(factor, input[i], acc[r][i]);
    }
  };
  int64_t k = 0;
  for (; k + kVec <= weights.k; k += kVec) step(k, [](const float* p) { return loadu(p); });
  const int64_t tail = weights.k - k;
  if (tail > 0) step(k, [tail](const float* p) { return load_first(p, tail); });
  SPARSECPU_UNROLL
  for (int r = 0; r < R; ++r) {
    SPARSECPU_UNROLL
    for (int i = 0; i < M; ++i) few_rows_store(weights, args, row + r, m + i, acc[r][i]);
  }
}

// One row. Blocks of 16 columns: the block's nonzeros are spread over its lanes by its mask. Two chains a
// sum, for even and odd blocks.
template <int M>
void few_rows_sparse(const FewRowsWeights& weights, const FewRowsArgs& args, int64_t row, int64_t m) {
  const int64_t blocks = (weights.k + kVec - 1) / kVec;
  const uint16_t* mask = weights.masks + row * blocks;
  const float* weight = weights.weights + weights.row_begin[row];
  const float* x = args.x + m * args.x_stride;
  Vec acc[2][M];
  SPARSECPU_UNROLL
  for (int i = 0; i < M; ++i) acc[0][i] = acc[1][i] = zero();
  const auto step = [&](Vec (&sum)[M], int64_t block, auto load_input) __attribute__((always_inline)) {
    const Vec factor = expand(weight, mask[block]);
    weight += __builtin_popcount(mask[block]);
    SPARSECPU_UNROLL
    for (int i = 0; i < M; ++i) sum[i] = fma(factor, load_input(x + i * args.x_stride + block * kVec), sum[i]);
  };
  const auto whole = [](const float* p) { return loadu(p); };
  const int64_t whole_blocks = weights.k / kVec;
  int64_t block = 0;
  for (; block + 2 <= whole_blocks; block += 2) {
    step(acc[0], block, whole);
    step(acc[1], block + 1, whole);
  }
  if (block < whole_blocks) step(acc[0], block++, whole);
  const int64_t tail = weights.k % kVec;
  if (tail > 0) step(acc[1], block, [tail](const float* p) { return load_first(p, tail); });
  SPARSECPU_UNROLL
  for (int i = 0; i < M; ++i) few_rows_store(weights, args, row, m + i, add(acc[0][i], acc[1][i]));
}

template <int R, int M>
SPARSECPU_INLINE void few_rows_dense_range(const FewRowsWeights& weights, int64_t begin, int64_t end,
                                           const FewRowsArgs& args, int64_t m) {
  int64_t row = begin;
  for (; row + R <= end; row += R) few_rows_dense<R, M>(weights, args, row, m);
  for (; row < end; ++row) few_rows_dense<1, M>(weights, args, row, m);
}

template <int M>
SPARSECPU_INLINE void few_rows_range(const FewRowsWeights& weights, int64_t begin, int64_t end,
                                     const FewRowsArgs& args, int64_t m) {
  if (weights.masks) {
    for (int64_t row = begin; row < end; ++row) few_rows_sparse<M>(weights, args, row, m);
  } else {
    constexpr int kRows = M == 1 ? 8 : kFewRowsBlock;
    few_rows_dense_range<kRows, M>(weights, begin, end, args, m);
  }
}

// Rows in strips that stay in the cache while all of m passes over them.
void few_rows(const FewRowsWeights& weights, int64_t begin, int64_t end, const FewRowsArgs& args) {
  constexpr int64_t kStripFloats = 16384;  // 64 KB of dense weights: well inside any L2
  const int64_t strip = (kStripFloats / (weights.k + 1) + 1 + 7) / 8 * 8;
  for (int64_t row = begin; row < end; row += strip) {
    const int64_t stop = row + strip < end ? row + strip : end;
    int64_t m = 0;
    for (; m + 4 <= args.m; m += 4) few_rows_range<4>(weights, row, stop, args, m);
    switch (args.m - m) {
      case 3: few_rows_range<3>(weights, row, stop, args, m); break;
      case 2: few_rows_range<2>(weights, row, stop, args, m); break;
      case 1: few_rows_range<1>(weights, row, stop, args, m); break;
      default: break;
    }
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
