// exp, erf, tanh and sigmoid on 16 lanes, by polynomials. Error bounds are above the largest found over every
// 997th float at all levels (tests/kernels/test_elementwise.py repeats a sample); NaN passes, infinities saturate.
#pragma once
#include "kernels/impl/vec.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// e^x within 2 ulp for x in [-87.33, 88.02]; outside, the value at the nearer end. The reduction
// x = n ln 2 + r with |r| <= 0.35 uses ln 2 in two parts (its first has 9 bits, so n * part is exact);
// the polynomial is the one of Cephes' expf.
constexpr float kExpLowest = -87.33f, kExpHighest = 88.02f;

// multiply_add(a, b, c) = a * b + c.
template <class F>
SPARSECPU_INLINE Vec exp(Vec x, F multiply_add) {
  x = clamp(x, set1(kExpLowest), set1(kExpHighest));
  const Vec n = round_small(mul(x, set1(1.44269504f)));
  Vec r = multiply_add(n, set1(-0.693359375f), x);
  r = multiply_add(n, set1(2.12194440e-4f), r);
  Vec p = set1(1.9875691500e-4f);
  p = multiply_add(p, r, set1(1.3981999507e-3f));
  p = multiply_add(p, r, set1(8.3334519073e-3f));
  p = multiply_add(p, r, set1(4.1665795894e-2f));
  p = multiply_add(p, r, set1(1.6666665459e-1f));
  p = multiply_add(p, r, set1(5.0000001201e-1f));
  p = multiply_add(p, mul(r, r), add(r, set1(1.0f)));
  return times_power_of_two(p, n);
}
SPARSECPU_INLINE Vec exp(Vec x) {
  return exp(x, [](Vec a, Vec b, Vec c) { return fma(a, b, c); });
}

// 1 / (1 + e^-x) within 3 ulp; exactly 0 below -88.02.
SPARSECPU_INLINE Vec sigmoid(Vec x) {
  const Vec one = set1(1.0f);
  const Vec y = div(one, add(one, exp(sub(zero(), x))));
  return select(less(x, set1(-kExpHighest)), zero(), y);
}

// tanh x within 2 ulp: Cephes' odd polynomial below 0.625, 1 - 2 / (e^2|x| + 1) above.
SPARSECPU_INLINE Vec tanh(Vec x) {
  const Vec one = set1(1.0f);
  const Vec size = magnitude(x);
  const Vec e = exp(add(size, size));
  const Vec large = with_sign(sub(one, div(set1(2.0f), add(e, one))), x);
  const Vec x2 = mul(x, x);
  Vec p = set1(-5.70498872745e-3f);
  p = fma(p, x2, set1(2.06390887954e-2f));
  p = fma(p, x2, set1(-5.37397155531e-2f));
  p = fma(p, x2, set1(1.33314422036e-1f));
  p = fma(p, x2, set1(-3.33332819422e-1f));
  const Vec small = fma(mul(p, x2), x, x);
  return select(less(size, set1(0.625f)), small, large);
}

// erf x within 8 ulp (1e-42 among denormals) and 2e-7: an odd rational minimax approximation of degree 13 / 8 on
// [-3.925, 3.925] (the coefficients are those of Eigen's); beyond, erf rounds to 1 in float.
constexpr float kErfOne = 3.925f;

SPARSECPU_INLINE Vec erf(Vec x) {
  const Vec inner = clamp(x, set1(-kErfOne), set1(kErfOne));
  const Vec x2 = mul(inner, inner);
  Vec a = set1(-2.72614225801306e-10f);
  a = fma(a, x2, set1(2.77068142495902e-08f));
  a = fma(a, x2, set1(-2.10102402082508e-06f));
  a = fma(a, x2, set1(-5.69250639462346e-05f));
  a = fma(a, x2, set1(-7.34990630326855e-04f));
  a = fma(a, x2, set1(-2.95459980854025e-03f));
  a = fma(a, x2, set1(-1.60960333262415e-02f));
  a = mul(a, inner);
  Vec b = set1(-1.45660718464996e-05f);
  b = fma(b, x2, set1(-2.13374055278905e-04f));
  b = fma(b, x2, set1(-1.68282697438203e-03f));
  b = fma(b, x2, set1(-7.37332916720468e-03f));
  b = fma(b, x2, set1(-1.42647390514189e-02f));
  const Vec one = set1(1.0f);
  const Vec y = clamp(div(a, b), set1(-1.0f), one);
  return select(less(magnitude(x), set1(kErfOne)), y, with_sign(clamp(magnitude(x), zero(), one), x));
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
