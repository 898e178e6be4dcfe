// Few row-major rows of bytes times INT8 weights: lanes run along K, 64 columns a step. Sums of a strip of rows
// are gathered first, so that the output stage works on whole vectors.
#pragma once
#include "kernels/impl/qoutput.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

constexpr int64_t kStrip = 64;  // rows whose sums wait for the output stage
constexpr int kFewRowsM = 4;    // rows of x that share a pass over the weights
struct StripSums {
  alignas(64) int32_t at[kFewRowsM][kStrip];
};

// R rows of weights, M rows of x; groups of dense weights padded to whole blocks.
template <int R, int M>
void qfew_rows_dense(const QFewRowsWeights& w, const uint8_t* x, int64_t x_stride, int64_t row, StripSums& sums,
                     int64_t at) {
  const int64_t blocks = (w.k + kByteVec - 1) / kByteVec;
  const uint32_t* weight = w.weights + row * blocks * kLanes;
  Ints acc[R][M];
  SPARSECPU_UNROLL
  for (int r = 0; r < R; ++r) {
    SPARSECPU_UNROLL
    for (int i = 0; i < M; ++i) acc[r][i] = set_int(0);
  }
  const auto step = [&](int64_t block, auto load_input) __attribute__((always_inline)) {
    Input input[M];
    SPARSECPU_UNROLL
    for (int i = 0; i < M; ++i) input[i] = input_of(load_input(x + i * x_stride + block * kByteVec));
    SPARSECPU_UNROLL
    for (int r = 0; r < R; ++r) {
      const Factor factor = factor_of(load_bytes(weight + (r * blocks + block) * kLanes));
      SPARSECPU_UNROLL
      for (int i = 0; i < M; ++i) acc[r][i] = add_product(acc[r][i], input[i], factor);
    }
  };
  const int64_t whole = w.k / kByteVec, tail = w.k % kByteVec;
  for (int64_t block = 0; block < whole; ++block) step(block, [](const uint8_t* p) { return load_bytes(p); });
  if (tail > 0) step(whole, [tail](const uint8_t* p) { return load_bytes_first(p, tail); });
  SPARSECPU_UNROLL
  for (int r = 0; r < R; ++r) {
    SPARSECPU_UNROLL
    for (int i = 0; i < M; ++i) sums.at[i][at + r] = sum_ints(acc[r][i]);
  }
}

// One row of weights: a block's stored groups are spread over its lanes by its mask.
template <int M>
void qfew_rows_sparse(const QFewRowsWeights& w, const uint8_t* x, int64_t x_stride, int64_t row, StripSums& sums,
                      int64_t at) {
  const int64_t blocks = (w.k + kByteVec - 1) / kByteVec;
  const uint16_t* mask = w.masks + row * blocks;
  const uint32_t* weight = w.weights + w.row_begin[row];
  Ints acc[M];
  SPARSECPU_UNROLL
  for (int i = 0; i < M; ++i) acc[i] = set_int(0);
  const auto step = [&](int64_t block, auto load_input) __attribute__((always_inline)) {
    const Factor factor = factor_of(expand(weight, mask[block]));
    weight += __builtin_popcount(mask[block]);
    SPARSECPU_UNROLL
    for (int i = 0; i < M; ++i) {
      acc[i] = add_product(acc[i], input_of(load_input(x + i * x_stride + block * kByteVec)), factor);
    }
  };
  const int64_t whole = w.k / kByteVec, tail = w.k % kByteVec;
  for (int64_t block = 0; block < whole; ++block) step(block, [](const uint8_t* p) { return load_bytes(p); });
  if (tail > 0) step(whole, [tail](const uint8_t* p) { return load_bytes_first(p, tail); });
  SPARSECPU_UNROLL
  for (int i = 0; i < M; ++i) sums.at[i][at] = sum_ints(acc[i]);
}

template <int M>
void qfew_rows_strip(const QFewRowsWeights& w, const uint8_t* x, int64_t x_stride, int64_t row, int64_t count,
                     StripSums& sums) {
#if defined(SPARSECPU_LEVEL_AVX512)
  constexpr int kRows = 4;
#else
  constexpr int kRows = M == 1 ? 2 : 1;
#endif
  int64_t i = 0;
  if (!w.masks) {
    for (; i + kRows <= count; i += kRows) qfew_rows_dense<kRows, M>(w, x, x_stride, row + i, sums, i);
    for (; i < count; ++i) qfew_rows_dense<1, M>(w, x, x_stride, row + i, sums, i);
  }
  for (; i < count; ++i) qfew_rows_sparse<M>(w, x, x_stride, row + i, sums, i);
}

// Up to 64 requantized bytes; the sum's residual is at the same place.
SPARSECPU_INLINE Bytes requantize_strip(const QuantizedOutput& out, const Ints (&acc)[4], int64_t row, int64_t count,
                                        const uint8_t* residual) {
  const Vec most = highest(out.zero_point);
  Vec scaled[4];
  SPARSECPU_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int64_t left = count - 16 * i;
    const Vec multiplier = left > 0 ? load_first(out.multiplier + row + 16 * i, left < 16 ? left : 16) : zero();
    scaled[i] = min(mul(to_float(acc[i]), multiplier), most);
  }
  Ints rounded[4];
  if (!out.sum) {
    SPARSECPU_UNROLL
    for (int i = 0; i < 4; ++i) rounded[i] = to_ints(scaled[i]);
    return pack_flat(rounded, out.zero_point);
  }
  const SumVectors sum = sum_vectors(*out.sum);
  const Bytes other = load_bytes_first(residual, count);
  const Vec least = set1(static_cast<float>(-out.zero_point)), zero = set1(static_cast<float>(out.zero_point));
  SPARSECPU_UNROLL
  for (int i = 0; i < 4; ++i) {
    const Vec product = add(round_small(max(scaled[i], least)), zero);
    const Vec added = to_float(flat_part(other, i));
    rounded[i] = out.residual_is_a ? quantized_sum(sum, added, product) : quantized_sum(sum, product, added);
  }
  return pack_flat(rounded, sum.zero);
}

// Rows [row, row + count) of one row of x.
void qfew_rows_finish(const QFewRowsArgs& args, int64_t m, int64_t row, int64_t count, const int32_t* sums) {
  const QuantizedOutput& out = args.output;
  Ints acc[4];
  SPARSECPU_UNROLL
  for (int i = 0; i < 4; ++i) acc[i] = load_ints(sums + 16 * i);
  const int64_t at = m * args.y_stride + row;
  if (out.form == QuantizedOutput::Form::kBytes) {
    const uint8_t* residual = args.residual ? args.residual + m * args.residual_stride + row : nullptr;
    Bytes bytes = requantize_strip(out, acc, row, count, residual);
    if (out.lookup) bytes = look_up(out.lookup, bytes);
    store_bytes_first(static_cast<uint8_t*>(args.y) + at, bytes, count);
    return;
  }
  float* y = static_cast<float*>(args.y) + at;
  const Vec lo = set1(out.clamp.lo), hi = set1(out.clamp.hi);
  for (int64_t i = 0; i < count; i += 16) {
    const int64_t now = count - i < 16 ? count - i : 16;
    const Ints part = load_ints(sums + i);
    Vec result = as_floats(part);
    if (out.form == QuantizedOutput::Form::kFloats) {
      result = mul(to_float(part), load_first(out.multiplier + row + i, now));
      if (out.float_bias) result = add(result, load_first(out.float_bias + row + i, now));
      result = clamp(result, lo, hi);
    }
    store_first(y + i, result, now);
  }
}

void qfew_rows(const QFewRowsWeights& w, int64_t begin, int64_t end, const QFewRowsArgs& args) {
  StripSums sums;
  for (int64_t row = begin; row < end; row += kStrip) {
    const int64_t count = end - row < kStrip ? end - row : kStrip;
    for (int64_t m = 0; m < args.m; m += kFewRowsM) {
      const int64_t now = args.m - m < kFewRowsM ? args.m - m : kFewRowsM;
      const uint8_t* x = args.x + m * args.x_stride;
      switch (now) {
        case 1:
          qfew_rows_strip<1>(w, x, args.x_stride, row, count, sums);
          break;
        case 2:
          qfew_rows_strip<2>(w, x, args.x_stride, row, count, sums);
          break;
        case 3:
          qfew_rows_strip<3>(w, x, args.x_stride, row, count, sums);
          break;
        default:
          qfew_rows_strip<4>(w, x, args.x_stride, row, count, sums);
          break;
      }
      for (int64_t i = 0; i < now; ++i) {
        for (int64_t r = 0; r < kStrip; ++r) {
          const uint32_t bias = r < count ? static_cast<uint32_t>(args.output.bias[row + r]) : 0;
          const uint32_t sum = r < count ? static_cast<uint32_t>(sums.at[i][r]) : 0;
          sums.at[i][r] = static_cast<int32_t>(sum + bias);
        }
        qfew_rows_finish(args, m + i, row, count, sums.at[i]);
      }
    }
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
