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

// finish(acc, row, y, residual) of the following structs stores four rows' results for one position; row is the
// first, a multiple of 4. They hold in registers what is the same for all rows and positions.

// Bytes without a residual.
struct FinishBytes {
  const float* multiplier;
  Vec most;
  int zero_point;

  explicit FinishBytes(const QuantizedOutput& out)
      : multiplier(out.multiplier), most(highest(out.zero_point)), zero_point(out.zero_point) {}
  SPARSECPU_INLINE void operator()(const Ints (&acc)[4], int64_t row, float* y, const float*) const {
    Ints rounded[4];
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) rounded[j] = to_ints(min(mul(to_float(acc[j]), set1(multiplier[row + j])), most));
    store_bytes(y + row / 4 * kLanes, pack(rounded, zero_point));
  }
};

// Bytes with a residual.
template <bool ResidualIsA>
struct FinishSum {
  const float* multiplier;
  Vec least, most, zero;
  SumVectors sum;

  explicit FinishSum(const QuantizedOutput& out)
      : multiplier(out.multiplier),
        least(set1(static_cast<float>(-out.zero_point))),
        most(highest(out.zero_point)),
        zero(set1(static_cast<float>(out.zero_point))),
        sum(sum_vectors(*out.sum)) {}
  SPARSECPU_INLINE void operator()(const Ints (&acc)[4], int64_t row, float* y, const float* residual) const {
    const Bytes other = load_bytes(residual + row / 4 * kLanes);
    Ints rounded[4];
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) {
      const Vec scaled = min(mul(to_float(acc[j]), set1(multiplier[row + j])), most);
      const Vec product = add(round_small(max(scaled, least)), zero);
      const Vec added = to_float(byte_of(other, j));
      rounded[j] = ResidualIsA ? quantized_sum(sum, added, product) : quantized_sum(sum, product, added);
    }
    store_bytes(y + row / 4 * kLanes, pack(rounded, sum.zero));
  }
};

// Floats or ints; rows from `rows` on are not stored.
struct FinishRows {
  const QuantizedOutput& out;
  int64_t rows;

  SPARSECPU_INLINE void operator()(const Ints (&acc)[4], int64_t row, float* y, const float*) const {
    for (int j = 0; j < 4 && row + j < rows; ++j) {
      Vec result = as_floats(acc[j]);
      if (out.form == QuantizedOutput::Form::kFloats) {
        result = mul(to_float(acc[j]), set1(out.multiplier[row + j]));
        if (out.float_bias) result = add(result, set1(out.float_bias[row + j]));
        result = clamp(result, set1(out.clamp.lo), set1(out.clamp.hi));
      }
      store(y + (row + j) * kLanes, result);
    }
  }
};

// Calls f with the struct that `out` asks for.
template <class F>
SPARSECPU_INLINE void with_finish(const QuantizedOutput& out, int64_t rows, const F& f) {
  if (out.form != QuantizedOutput::Form::kBytes) return f(FinishRows{out, rows});
  if (!out.sum) return f(FinishBytes(out));
  if (out.residual_is_a) return f(FinishSum<true>(out));
  f(FinishSum<false>(out));
}

// The bytes of rows [row_begin, row_end) of one position, once they are stored, through the table.
SPARSECPU_INLINE void look_up_rows(const QuantizedOutput& out, int64_t row_begin, int64_t row_end, float* y) {
  if (!out.lookup || out.form != QuantizedOutput::Form::kBytes) return;
  uint8_t* bytes = reinterpret_cast<uint8_t*>(y + row_begin / 4 * kLanes);
  look_up_bytes(out.lookup, bytes, bytes, (row_end - row_begin + 3) / 4 * (kLanes * 4));
}

// Stores four rows' results for one position; rows from `rows` on only as pad bytes. The caller looks up.
void finish_quad(const Ints (&acc)[4], int64_t row, int64_t rows, const QuantizedOutput& out, float* y,
                 const float* residual) {
  with_finish(out, rows, [&](const auto& finish) { finish(acc, row, y, residual); });
}

void qfinish(const int32_t* sums, int64_t row_begin, int64_t row_end, const QuantizedOutput& out, float* y,
             const float* residual) {
  with_finish(out, row_end, [&](const auto& finish) {
    for (int64_t row = row_begin; row < row_end; row += 4) {
      Ints acc[4];
      SPARSECPU_UNROLL
      for (int j = 0; j < 4; ++j) acc[j] = load_ints(sums + (row - row_begin + j) * kLanes);
      finish(acc, row, y, residual);
    }
  });
  look_up_rows(out, row_begin, row_end, y);
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
