// Elementwise functions of two operands, and those with numbers per channel.
#pragma once
#include "base/elementwise.h"
#include "kernels/impl/vec.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

template <class F>
SPARSECPU_INLINE void map_two(const float* a, const float* b, float* y, int64_t count, F f) {
  int64_t i = 0;
  for (; i + kVec <= count; i += kVec) storeu(y + i, f(loadu(a + i), loadu(b + i)));
  if (i < count) store_first(y + i, f(load_first(a + i, count - i), load_first(b + i, count - i)), count - i);
}

// max() and min() give their second operand where either is NaN.
SPARSECPU_INLINE Vec with_nan_of(Vec a, Vec y) { return select(nan_lanes(a), a, y); }

void binary(BinaryKind kind, const float* a, const float* b, float* y, int64_t count) {
  switch (kind) {
    case BinaryKind::kAdd:
      return map_two(a, b, y, count, [](Vec u, Vec v) { return add(u, v); });
    case BinaryKind::kSub:
      return map_two(a, b, y, count, [](Vec u, Vec v) { return sub(u, v); });
    case BinaryKind::kMul:
      return map_two(a, b, y, count, [](Vec u, Vec v) { return mul(u, v); });
    case BinaryKind::kDiv:
      return map_two(a, b, y, count, [](Vec u, Vec v) { return div(u, v); });
    case BinaryKind::kMax:
      return map_two(a, b, y, count, [](Vec u, Vec v) { return with_nan_of(u, max(u, v)); });
    case BinaryKind::kMin:
      return map_two(a, b, y, count, [](Vec u, Vec v) { return with_nan_of(u, min(u, v)); });
  }
}

void affine(const float* scale, const float* shift, const float* x, float* y, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) {
    store(y + c * kVec, fma(load(x + c * kVec), set1(scale[c]), set1(shift[c])));
  }
}

void prelu(const float* slope, const float* x, float* y, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) {
    const Vec v = load(x + c * kVec);
    store(y + c * kVec, select(less(v, zero()), mul(v, set1(slope[c])), v));
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
