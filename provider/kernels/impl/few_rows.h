// Matrix times few row-major activations (M < 16). Dense: lanes run along K, the speed is that of the memory
// the weights come from; every (row, m) has one accumulator vector. Sparse: scalar multiply-adds over compressed
// rows, four sums a (row, m). That is 1.0-1.2 cycles a nonzero for M = 1 on Zen 5, where gathers take 1.2-1.4 and
// spreading a bitmask's nonzeros over lanes 3.9 (at 90 % zeros, K = 768 and 3072).
//
// Sums are filled in ascending K and added in a fixed order, so results do not depend on how rows or m are
// grouped.
#pragma once
#include "kernels/impl/reduce.h"
#include "kernels/impl/vec.h"
#include "kernels/kernels.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

#if defined(SPARSECPU_LEVEL_AVX512)
constexpr int kFewRowsBlock = 4;  // dense rows a block: with 4 activations, 16 accumulators
constexpr int kFewRowsMost = 4;   // activations a block
#elif defined(SPARSECPU_LEVEL_AVX2)
constexpr int kFewRowsBlock = 2;  // with 3 activations, 12 accumulators
constexpr int kFewRowsMost = 3;
#else
constexpr int kFewRowsBlock = 1;
constexpr int kFewRowsMost = 1;
#endif

SPARSECPU_INLINE void few_rows_store(const FewRowsWeights& weights, const FewRowsArgs& args, int64_t row, int64_t m,
                                     float sum) {
  float y = weights.bias[row];
  if (args.residual) y += args.residual[m * args.residual_stride + row];
  y += sum;
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
      __builtin_prefetch(w + (R + r) * stride + k);  // the next rows: streams side by side are not foreseen
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
    for (int i = 0; i < M; ++i) few_rows_store(weights, args, row + r, m + i, sum_lanes(acc[r][i]));
  }
}

// One row. Nonzero i of the row goes to sum i % 4.
template <int M>
void few_rows_sparse(const FewRowsWeights& weights, const FewRowsArgs& args, int64_t row, int64_t m) {
  constexpr int kSums = 4;
  const float* x[M];
  float sum[kSums][M] = {};
  SPARSECPU_UNROLL
  for (int j = 0; j < M; ++j) x[j] = args.x + (m + j) * args.x_stride;
  const int64_t end = weights.row_begin[row + 1];
  int64_t i = weights.row_begin[row];
  for (; i + kSums <= end; i += kSums) {
    SPARSECPU_UNROLL
    for (int s = 0; s < kSums; ++s) {
      const float weight = weights.weights[i + s];
      const size_t column = weights.columns[i + s];
      SPARSECPU_UNROLL
      for (int j = 0; j < M; ++j) sum[s][j] = multiply_add(weight, x[j][column], sum[s][j]);
    }
  }
  SPARSECPU_UNROLL
  for (int s = 0; s < kSums - 1; ++s) {
    if (i + s >= end) break;
    const float weight = weights.weights[i + s];
    const size_t column = weights.columns[i + s];
    SPARSECPU_UNROLL
    for (int j = 0; j < M; ++j) sum[s][j] = multiply_add(weight, x[j][column], sum[s][j]);
  }
  SPARSECPU_UNROLL
  for (int j = 0; j < M; ++j) {
    few_rows_store(weights, args, row, m + j, (sum[0][j] + sum[1][j]) + (sum[2][j] + sum[3][j]));
  }
}

template <int R, int M>
SPARSECPU_INLINE void few_rows_dense_range(const FewRowsWeights& weights, int64_t begin, int64_t end,
                                           const FewRowsArgs& args, int64_t m) {
  int64_t row = begin;
  for (; row + R <= end; row += R) few_rows_dense<R, M>(weights, args, row, m);
  for (; row < end; ++row) few_rows_dense<1, M>(weights, args, row, m);
}

template <int M>
SPARSECPU_INLINE void few_rows_range(const FewRowsWeights& weights, int64_t begin, int64_t end, const FewRowsArgs& args,
                                     int64_t m) {
  if (weights.columns) {
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
    for (; m + kFewRowsMost <= args.m; m += kFewRowsMost) few_rows_range<kFewRowsMost>(weights, row, stop, args, m);
    switch (args.m - m) {  // less than kFewRowsMost
      case 3:
        few_rows_range < kFewRowsMost<3 ? kFewRowsMost : 3>(weights, row, stop, args, m);
        break;
      case 2:
        few_rows_range < kFewRowsMost<2 ? kFewRowsMost : 2>(weights, row, stop, args, m);
        break;
      case 1:
        few_rows_range<1>(weights, row, stop, args, m);
        break;
      default:
        break;
    }
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
