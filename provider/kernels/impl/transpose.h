// Register transposes of each level: 4 x 4 floats in the quarters of four vectors, and 16 x 16 made of them.
//
// transpose_quarters(r0, r1, r2, r3): lane 4q+c of ri <-> lane 4q+i of rc.
#pragma once
#include "kernels/impl/vec.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

#if defined(SPARSECPU_LEVEL_AVX512)

SPARSECPU_INLINE void transpose_quarters(Vec& r0, Vec& r1, Vec& r2, Vec& r3) {
  const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(r0.v, r1.v)),
                b = _mm512_castps_pd(_mm512_unpackhi_ps(r0.v, r1.v));
  const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(r2.v, r3.v)),
                d = _mm512_castps_pd(_mm512_unpackhi_ps(r2.v, r3.v));
  r0.v = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
  r1.v = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
  r2.v = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
  r3.v = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
}

SPARSECPU_INLINE void exchange_quarters(Vec& r0, Vec& r1, Vec& r2, Vec& r3) {
  const __m512 even_a = _mm512_shuffle_f32x4(r0.v, r1.v, 0x88), odd_a = _mm512_shuffle_f32x4(r0.v, r1.v, 0xdd);
  const __m512 even_b = _mm512_shuffle_f32x4(r2.v, r3.v, 0x88), odd_b = _mm512_shuffle_f32x4(r2.v, r3.v, 0xdd);
  r0.v = _mm512_shuffle_f32x4(even_a, even_b, 0x88);
  r1.v = _mm512_shuffle_f32x4(odd_a, odd_b, 0x88);
  r2.v = _mm512_shuffle_f32x4(even_a, even_b, 0xdd);
  r3.v = _mm512_shuffle_f32x4(odd_a, odd_b, 0xdd);
}

#elif defined(SPARSECPU_LEVEL_AVX2)

SPARSECPU_INLINE void transpose_half(__m256& r0, __m256& r1, __m256& r2, __m256& r3) {
  const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(r0, r1)), b = _mm256_castps_pd(_mm256_unpackhi_ps(r0, r1));
  const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(r2, r3)), d = _mm256_castps_pd(_mm256_unpackhi_ps(r2, r3));
  r0 = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
  r1 = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
  r2 = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
  r3 = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
}
SPARSECPU_INLINE void transpose_quarters(Vec& r0, Vec& r1, Vec& r2, Vec& r3) {
  transpose_half(r0.lo, r1.lo, r2.lo, r3.lo);
  transpose_half(r0.hi, r1.hi, r2.hi, r3.hi);
}

SPARSECPU_INLINE void exchange_quarters(Vec& r0, Vec& r1, Vec& r2, Vec& r3) {
  const Vec a = r0, b = r1, c = r2, d = r3;
  r0 = {_mm256_permute2f128_ps(a.lo, b.lo, 0x20), _mm256_permute2f128_ps(c.lo, d.lo, 0x20)};
  r1 = {_mm256_permute2f128_ps(a.lo, b.lo, 0x31), _mm256_permute2f128_ps(c.lo, d.lo, 0x31)};
  r2 = {_mm256_permute2f128_ps(a.hi, b.hi, 0x20), _mm256_permute2f128_ps(c.hi, d.hi, 0x20)};
  r3 = {_mm256_permute2f128_ps(a.hi, b.hi, 0x31), _mm256_permute2f128_ps(c.hi, d.hi, 0x31)};
}

#else

SPARSECPU_INLINE void transpose_quarters(Vec& r0, Vec& r1, Vec& r2, Vec& r3) {
  const Vec r[4] = {r0, r1, r2, r3};
  const auto column = [&](int i) { return each_lane([&](int l) { return r[l % 4].lane[l / 4 * 4 + i]; }); };
  r0 = column(0);
  r1 = column(1);
  r2 = column(2);
  r3 = column(3);
}

SPARSECPU_INLINE void exchange_quarters(Vec& r0, Vec& r1, Vec& r2, Vec& r3) {
  const Vec r[4] = {r0, r1, r2, r3};
  const auto quarters = [&](int q) { return each_lane([&](int l) { return r[l / 4].lane[4 * q + l % 4]; }); };
  r0 = quarters(0);
  r1 = quarters(1);
  r2 = quarters(2);
  r3 = quarters(3);
}

#endif

// 4 x 4 blocks first, then the blocks: quarter q of ri <-> quarter i of rq, for rows four apart.
SPARSECPU_INLINE void transpose(Vec (&r)[16]) {
  SPARSECPU_UNROLL
  for (int i = 0; i < 16; i += 4) transpose_quarters(r[i], r[i + 1], r[i + 2], r[i + 3]);
  SPARSECPU_UNROLL
  for (int j = 0; j < 4; ++j) exchange_quarters(r[j], r[4 + j], r[8 + j], r[12 + j]);
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
