// Elementwise functions of two operands, and a scale and shift per channel.
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

void binary(BinaryKind kind, const float* a, const float* b, float* y, int64_t count) {
  switch (kind) {
    case BinaryKind::kAdd:
      return map_two(a, b, y, count, [](Vec u, Vec v) { return add(u, v); });
    case BinaryKind::kSub:
      return map_two(a, b, y, count, [](Vec u, Vec v) { return sub(u, v); });
    case BinaryKind::kMul:
      return map_two(a, b, y, count, [](Vec u, Vec v) { return mul(u, v); });
  }
}

void affine(const float* scale, const float* shift, const float* x, float* y, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) {
    store(y + c * kVec, fma(load(x + c * kVec), set1(scale[c]), set1(shift[c])));
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
