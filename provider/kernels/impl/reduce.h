// The sum of 16 lanes, and one lane's multiply-add.
#pragma once
#include "kernels/impl/vec.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// Lanes l and l + 8, then l and l + 4, l + 2, l + 1: the same order on every level.
#if defined(SPARSECPU_LEVEL_SCALAR)
SPARSECPU_INLINE float sum_lanes(Vec v) {
  for (int half = 8; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) v.lane[l] += v.lane[l + half];
  }
  return v.lane[0];
}
SPARSECPU_INLINE float multiply_add(float a, float b, float c) { return a * b + c; }
#else
SPARSECPU_INLINE float sum_lanes(Vec v) {
#if defined(SPARSECPU_LEVEL_AVX512)
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v.v), _mm512_extractf32x8_ps(v.v, 1));
#else
  const __m256 eight = _mm256_add_ps(v.lo, v.hi);
#endif
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
SPARSECPU_INLINE float multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#endif

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
