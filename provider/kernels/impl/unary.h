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

// e^x, also where it is no normal number.
SPARSECPU_INLINE Vec whole_exp(Vec x) {
  const Vec root = exp(mul(x, set1(0.5f)));
  return mul(root, root);
}

// log(1 + u) = 2 atanh(u / (2 + u)) for u in [0, 1], by its series.
SPARSECPU_INLINE Vec log_of_one_plus(Vec u) {
  const Vec z = div(u, add(u, set1(2.0f))), z2 = mul(z, z);
  Vec p = set1(2.0f / 15);
  p = fma(p, z2, set1(2.0f / 13));
  p = fma(p, z2, set1(2.0f / 11));
  p = fma(p, z2, set1(2.0f / 9));
  p = fma(p, z2, set1(2.0f / 7));
  p = fma(p, z2, set1(2.0f / 5));
  p = fma(p, z2, set1(2.0f / 3));
  return fma(mul(p, z2), z, add(z, z));
}

// log(1 + e^x); exactly 0 below -87.33.
SPARSECPU_INLINE Vec softplus(Vec x) {
  const Vec y = add(max(zero(), x), log_of_one_plus(exp(sub(zero(), magnitude(x)))));
  return select(less(x, set1(kExpLowest)), zero(), y);
}

// Half to even; from 2^23 on every float is an integer.
SPARSECPU_INLINE Vec round(Vec x) {
  const Vec size = magnitude(x), whole = set1(0x1p23f);
  return select(less(size, whole), with_sign(sub(add(size, whole), whole), x), x);
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
    case UnaryKind::kExp:
      return map(x, y, count, [](Vec v) { return whole_exp(v); });
    case UnaryKind::kSoftplus:
      return map(x, y, count, [](Vec v) { return softplus(v); });
    case UnaryKind::kElu:
      return map(x, y, count, [&](Vec v) { return select(less(v, zero()), mul(va, sub(exp(v), one)), mul(vb, v)); });
    case UnaryKind::kSoftsign:
      return map(x, y, count, [&](Vec v) { return div(v, add(one, magnitude(v))); });
    case UnaryKind::kSqrt:
      return map(x, y, count, [](Vec v) { return sqrt(v); });
    case UnaryKind::kReciprocal:
      return map(x, y, count, [&](Vec v) { return div(one, v); });
    case UnaryKind::kSquare:
      return map(x, y, count, [](Vec v) { return mul(v, v); });
    case UnaryKind::kAbs:
      return map(x, y, count, [](Vec v) { return magnitude(v); });
    case UnaryKind::kRound:
      return map(x, y, count, [](Vec v) { return round(v); });
    case UnaryKind::kFloor:
      return map(x, y, count, [&](Vec v) {
        const Vec near = round(v);
        return select(less(v, near), sub(near, one), near);
      });
    case UnaryKind::kCeil:
      return map(x, y, count, [&](Vec v) {
        const Vec near = round(v);
        return with_sign(select(less(near, v), add(near, one), near), v);
      });
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
