// What all linear INT8 kernels do with their sums: requantize, add a residual, look up, or convert to floats.
#pragma once
#include "kernels/impl/qlookup.h"
#include "kernels/impl/qvec.h"
#include "kernels/quantized.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// Operands of QLinearAdd become floats of the tensor's own values: sign is 0 or 128 to take off.
struct SumVectors {
  Vec a_ratio, b_ratio, shift, sign, highest;
  int zero;
};
SPARSECPU_INLINE SumVectors sum_vectors(const QuantizedSum& sum) {
  return {set1(sum.a_ratio), set1(sum.b_ratio), set1(sum.shift), set1(sum.sign), highest(sum.sign), sum.sign};
}
// Both operands as floats of what is stored.
SPARSECPU_INLINE Ints quantized_sum(const SumVectors& s, Vec a, Vec b) {
  const Vec inner = fused(sub(b, s.sign), s.b_ratio, s.shift);
  return to_ints(min(fused(sub(a, s.sign), s.a_ratio, inner), s.highest));
}

// The bytes of four rows from their sums; row is the first, a multiple of 4.
SPARSECPU_INLINE Bytes requantize_quad(const Ints (&acc)[4], int64_t row, const QuantizedOutput& out,
                                       const float* residual) {
  const Vec most = highest(out.zero_point);
  Vec scaled[4];
  SPARSECPU_UNROLL
  for (int j = 0; j < 4; ++j) scaled[j] = min(mul(to_float(acc[j]), set1(out.multiplier[row + j])), most);
  Ints rounded[4];
  if (!out.sum) {
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) rounded[j] = to_ints(scaled[j]);
    return pack(rounded, out.zero_point);
  }
  const SumVectors sum = sum_vectors(*out.sum);
  const Bytes other = load_bytes(residual);
  const Vec least = set1(static_cast<float>(-out.zero_point)), zero = set1(static_cast<float>(out.zero_point));
  SPARSECPU_UNROLL
  for (int j = 0; j < 4; ++j) {
    const Vec product = add(round_small(max(scaled[j], least)), zero);
    const Vec added = to_float(byte_of(other, j));
    rounded[j] = out.residual_is_a ? quantized_sum(sum, added, product) : quantized_sum(sum, product, added);
  }
  return pack(rounded, sum.zero);
}

// The bytes of rows [row_begin, row_end) of one position, once finish_quad has stored them, through the table.
SPARSECPU_INLINE void look_up_rows(const QuantizedOutput& out, int64_t row_begin, int64_t row_end, float* y) {
  if (!out.lookup || out.form != QuantizedOutput::Form::kBytes) return;
  uint8_t* bytes = reinterpret_cast<uint8_t*>(y + row_begin / 4 * kLanes);
  look_up_bytes(out.lookup, bytes, bytes, (row_end - row_begin + 3) / 4 * (kLanes * 4));
}

// Stores four rows' results for one position; rows from `rows` on only as pad bytes. The caller looks up.
SPARSECPU_INLINE void finish_quad(const Ints (&acc)[4], int64_t row, int64_t rows, const QuantizedOutput& out, float* y,
                                  const float* residual) {
  if (out.form == QuantizedOutput::Form::kBytes) {
    const int64_t at = row / 4 * kLanes;
    store_bytes(y + at, requantize_quad(acc, row, out, residual ? residual + at : nullptr));
    return;
  }
  const Vec lo = set1(out.clamp.lo), hi = set1(out.clamp.hi);
  SPARSECPU_UNROLL
  for (int j = 0; j < 4; ++j) {
    if (row + j >= rows) break;
    Vec result = as_floats(acc[j]);
    if (out.form == QuantizedOutput::Form::kFloats) {
      result = mul(to_float(acc[j]), set1(out.multiplier[row + j]));
      if (out.float_bias) result = add(result, set1(out.float_bias[row + j]));
      result = clamp(result, lo, hi);
    }
    store(y + (row + j) * kLanes, result);
  }
}

void qfinish(const int32_t* sums, int64_t row_begin, int64_t row_end, const QuantizedOutput& output, float* y,
             const float* residual) {
  // Copies that no store can alias: their broadcasts stay in registers.
  QuantizedOutput out = output;
  const QuantizedSum sum = output.sum ? *output.sum : QuantizedSum{};
  if (output.sum) out.sum = &sum;
  for (int64_t row = row_begin; row < row_end; row += 4) {
    Ints acc[4];
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) acc[j] = load_ints(sums + (row - row_begin + j) * kLanes);
    finish_quad(acc, row, row_end, out, y, residual);
  }
  look_up_rows(out, row_begin, row_end, y);
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
