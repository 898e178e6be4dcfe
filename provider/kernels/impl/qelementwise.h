// Elementwise INT8 functions: to and from floats, of two operands, tables. Where each element stands alone, the
// parts of a vector are taken in the cheapest order (quarter_part).
#pragma once
#include "kernels/impl/qoutput.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// Rounded quotients before the zero point is added; NaN becomes the lowest value.
SPARSECPU_INLINE Ints quotient(Vec x, Vec scale, Vec least, Vec most) {
  return to_ints(min(max(div(x, scale), least), most));
}

void quantize_lanes(QuantizeParameters q, const float* x, float* y, int64_t channels) {
  const Vec scale = set1(q.scale), least = set1(static_cast<float>(-q.zero_point)), most = highest(q.zero_point);
  for (int64_t c = 0; c < channels; c += 4) {
    Ints r[4];
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) {
      r[j] = c + j < channels ? quotient(load(x + (c + j) * kVec), scale, least, most) : set_int(0);
    }
    store_bytes(y + c / 4 * kVec, pack(r, q.zero_point));
  }
}

void dequantize_lanes(QuantizeParameters q, const float* x, float* y, int64_t channels) {
  const Vec scale = set1(q.scale);
  const Ints zero = set_int(q.zero_point);
  for (int64_t c = 0; c < channels; c += 4) {
    const Bytes bytes = load_bytes(x + c / 4 * kVec);
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) {
      if (c + j < channels) store(y + (c + j) * kVec, mul(to_float(sub(byte_of(bytes, j), zero)), scale));
    }
  }
}

// Elements [part * 16, part * 16 + 16) of up to 64 that are left.
SPARSECPU_INLINE int64_t part_length(int64_t left, int part) {
  const int64_t rest = left - 16 * part;
  return rest <= 0 ? 0 : rest < 16 ? rest : 16;
}

void quantize_flat(QuantizeParameters q, uint8_t sign, const float* x, uint8_t* y, int64_t count) {
  const Vec scale = set1(q.scale), least = set1(static_cast<float>(-q.zero_point)), most = highest(q.zero_point);
  const Bytes flip = set_byte(sign);
  for (int64_t i = 0; i < count; i += kByteVec) {
    Ints r[4];
    SPARSECPU_UNROLL
    for (int part = 0; part < 4; ++part) {
      const int64_t length = part_length(count - i, part);
      r[part] = length > 0 ? quotient(load_first(x + i + 16 * part, length), scale, least, most) : set_int(0);
    }
    store_bytes_first(y + i, xor_bytes(pack_flat(r, q.zero_point), flip), count - i);
  }
}

void dequantize_flat(QuantizeParameters q, uint8_t sign, const uint8_t* x, float* y, int64_t count) {
  const Vec scale = set1(q.scale);
  const Ints zero = set_int(q.zero_point);
  const Bytes flip = set_byte(sign);
  for (int64_t i = 0; i < count; i += kByteVec) {
    const Bytes bytes = xor_bytes(load_bytes_first(x + i, count - i), flip);
    SPARSECPU_UNROLL
    for (int part = 0; part < 4; ++part) {
      const int64_t length = part_length(count - i, part);
      const Vec value = mul(to_float(sub(flat_part(bytes, part), zero)), scale);
      if (length > 0) store_first(y + i + 16 * part, value, length);
    }
  }
}

void requantize_flat(float multiplier, int zero_point, uint8_t sign, const int32_t* acc, uint8_t* y, int64_t count) {
  const Vec factor = set1(multiplier), most = highest(zero_point);
  const Bytes flip = set_byte(sign);
  for (int64_t i = 0; i < count; i += kByteVec) {
    Ints r[4];
    SPARSECPU_UNROLL
    for (int part = 0; part < 4; ++part) {
      alignas(64) int32_t sums[16] = {};
      const int64_t length = part_length(count - i, part);
      if (length > 0) __builtin_memcpy(sums, acc + i + 16 * part, static_cast<size_t>(length) * sizeof *sums);
      r[part] = to_ints(min(mul(to_float(load_ints(sums)), factor), most));
    }
    store_bytes_first(y + i, xor_bytes(pack_flat(r, zero_point), flip), count - i);
  }
}

// min and max return their second operand if either is NaN, so NaN elements leave the running ones alone.
void min_max(const float* x, int64_t count, float* least, float* most) {
  Vec low = set1(*least), high = set1(*most);
  int64_t i = 0;
  for (; i + kVec <= count; i += kVec) {
    const Vec v = loadu(x + i);
    low = min(v, low);
    high = max(v, high);
  }
  alignas(64) float lows[kVec], highs[kVec];
  storeu(lows, low);
  storeu(highs, high);
  for (int l = 0; l < kVec; ++l) {
    *least = lows[l] < *least ? lows[l] : *least;
    *most = highs[l] > *most ? highs[l] : *most;
  }
  for (; i < count; ++i) {
    *least = x[i] < *least ? x[i] : *least;
    *most = x[i] > *most ? x[i] : *most;
  }
}

// f(a, b) -> Ints of 16 elements, then packed with `zero`.
template <class F>
SPARSECPU_INLINE void map_bytes(const QuantizedBinary& args, const uint8_t* a, const uint8_t* b, uint8_t* y,
                                int64_t count, int zero, F f) {
  const Bytes scalar = set_byte(args.b_is_scalar && count > 0 ? b[0] : 0);
  for (int64_t i = 0; i < count; i += kByteVec) {
    const Bytes left = load_bytes_first(a + i, count - i);
    const Bytes right = args.b_is_scalar ? scalar : load_bytes_first(b + i, count - i);
    Ints r[4];
    SPARSECPU_UNROLL
    for (int part = 0; part < 4; ++part) r[part] = f(quarter_part(left, part), quarter_part(right, part));
    store_bytes_first(y + i, pack_quarters(r, zero), count - i);
  }
}

void add_bytes(const QuantizedBinary& args, const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t count) {
  const SumVectors sum = sum_vectors(args.sum);
  map_bytes(args, a, b, y, count, sum.zero,
            [&](Ints u, Ints v) { return quantized_sum(sum, to_float(u), to_float(v)); });
}

// The zero point is added before rounding, as ONNX Runtime does it, so it is the tensor's own.
void multiply_bytes(const QuantizedBinary& args, const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t count) {
  const int sign = args.sum.sign;
  const Ints a_zero = set_int(args.a_zero), b_zero = set_int(args.b_zero);
  const Vec factor = set1(args.multiplier), zero = set1(static_cast<float>(args.y_zero - sign)), most = highest(sign);
  map_bytes(args, a, b, y, count, sign, [&](Ints u, Ints v) {
    const Ints product = multiply_low(sub(u, a_zero), sub(v, b_zero));
    return to_ints(min(add(mul(to_float(product), factor), zero), most));
  });
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
