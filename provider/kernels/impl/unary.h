// Elementwise functions of one operand: one loop, instantiated for each UnaryKind.
//
// NaN passes through all of them. Functions of the form x * g(x) with g falling to 0 clamp the factor x
// below where g is 0 already, so that -inf gives -0 (the limit), not -inf * 0 = NaN.
#pragma once
#include "base/elementwise.h"
#include "kernels/impl/math.h"
#include "kernels/impl/vec.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// x / 2 * (1 + erf(x / sqrt 2)): within 1e-6 * max(|x|, 1) of the exact value.
SPARSECPU_INLINE Vec gelu(Vec x) {
  const Vec bounded = max(set1(-16.0f), x);
  const Vec half = mul(bounded, set1(0.5f));
  return mul(half, add(set1(1.0f), erf(mul(bounded, set1(0.70710678f)))));
}

// x / 2 * (1 + tanh u) = x * sigmoid(2 u), u = sqrt(2 / pi) * (x + 0.044715 x^3).
SPARSECPU_INLINE Vec gelu_tanh(Vec x) {
  const Vec bounded = max(set1(-16.0f), x);
  const Vec cubic = fma(mul(bounded, bounded), set1(0.044715f), set1(1.0f));
  return mul(bounded, sigmoid(mul(mul(bounded, set1(1.5957691216f)), cubic)));
}

// x * sigmoid(a x), a > 0.
SPARSECPU_INLINE Vec silu(Vec x, Vec a) { return mul(max(div(set1(-104.0f), a), x), sigmoid(mul(a, x))); }

SPARSECPU_INLINE Vec hard_swish(Vec x) {
  const Vec gate = clamp(fma(x, set1(1.0f / 6.0f), set1(0.5f)), zero(), set1(1.0f));
  return mul(max(set1(-4.0f), x), gate);
}

template <class F>
SPARSECPU_INLINE void map(const float* x, float* y, int64_t count, F f) {
  int64_t i = 0;
  for (; i + kVec <= count; i += kVec) storeu(y + i, f(loadu(x + i)));
  if (i < count) store_first(y + i, f(load_first(x + i, count - i)), count - i);
}

void unary(UnaryKind kind, float a, float b, const float* x, float* y, int64_t count) {
  const Vec va = set1(a), vb = set1(b), one = set1(1.0f);
  switch (kind) {
    case UnaryKind::kRelu:
      return map(x, y, count, [](Vec v) { return max(zero(), v); });
    case UnaryKind::kClip:
      return map(x, y, count, [&](Vec v) { return clamp(v, va, vb); });
    case UnaryKind::kLeakyRelu:
      return map(x, y, count, [&](Vec v) { return select(less(v, zero()), mul(va, v), v); });
    case UnaryKind::kSigmoid:
      return map(x, y, count, [](Vec v) { return sigmoid(v); });
    case UnaryKind::kSilu:
      return map(x, y, count, [&](Vec v) { return silu(v, va); });
    case UnaryKind::kHardSigmoid:
      return map(x, y, count, [&](Vec v) { return clamp(fma(va, v, vb), zero(), one); });
    case UnaryKind::kHardSwish:
      return map(x, y, count, [](Vec v) { return hard_swish(v); });
    case UnaryKind::kGelu:
      return map(x, y, count, [](Vec v) { return gelu(v); });
    case UnaryKind::kGeluTanh:
      return map(x, y, count, [](Vec v) { return gelu_tanh(v); });
    case UnaryKind::kTanh:
      return map(x, y, count, [](Vec v) { return tanh(v); });
    case UnaryKind::kErf:
      return map(x, y, count, [](Vec v) { return erf(v); });
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
