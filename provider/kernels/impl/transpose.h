// The 16 x 16 register transpose of each level.
#pragma once
#include "kernels/impl/vec.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

#if defined(SPARSECPU_LEVEL_AVX512)

// Four stages: interleave 32-bit and 64-bit elements of neighbouring rows, then 128-bit quarters twice.
SPARSECPU_INLINE void transpose(Vec (&r)[16]) {
  __m512 pair[16], quad[16];
  SPARSECPU_UNROLL
  for (int i = 0; i < 16; i += 2) {
    pair[i] = _mm512_unpacklo_ps(r[i].v, r[i + 1].v);
    pair[i + 1] = _mm512_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  // quad[4 g + j]: in quarter q, column 4 q + j of rows 4 g .. 4 g + 3.
  SPARSECPU_UNROLL
  for (int g = 0; g < 16; g += 4) {
    SPARSECPU_UNROLL
    for (int j = 0; j < 2; ++j) {
      const __m512d upper = _mm512_castps_pd(pair[g + j]), lower = _mm512_castps_pd(pair[g + 2 + j]);
      quad[g + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(upper, lower));
      quad[g + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(upper, lower));
    }
  }
  SPARSECPU_UNROLL
  for (int j = 0; j < 4; ++j) {
    const __m512 even_a = _mm512_shuffle_f32x4(quad[j], quad[4 + j], 0x88);
    const __m512 odd_a = _mm512_shuffle_f32x4(quad[j], quad[4 + j], 0xdd);
    const __m512 even_b = _mm512_shuffle_f32x4(quad[8 + j], quad[12 + j], 0x88);
    const __m512 odd_b = _mm512_shuffle_f32x4(quad[8 + j], quad[12 + j], 0xdd);
    r[j].v = _mm512_shuffle_f32x4(even_a, even_b, 0x88);
    r[8 + j].v = _mm512_shuffle_f32x4(even_a, even_b, 0xdd);
    r[4 + j].v = _mm512_shuffle_f32x4(odd_a, odd_b, 0x88);
    r[12 + j].v = _mm512_shuffle_f32x4(odd_a, odd_b, 0xdd);
  }
}

#elif defined(SPARSECPU_LEVEL_AVX2)

SPARSECPU_INLINE void transpose_8x8(__m256 (&r)[8]) {
  __m256 pair[8], quad[8];
  SPARSECPU_UNROLL
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    pair[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  SPARSECPU_UNROLL
  for (int g = 0; g < 8; g += 4) {
    SPARSECPU_UNROLL
    for (int j = 0; j < 2; ++j) {
      const __m256d upper = _mm256_castps_pd(pair[g + j]), lower = _mm256_castps_pd(pair[g + 2 + j]);
      quad[g + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(upper, lower));
      quad[g + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(upper, lower));
    }
  }
  SPARSECPU_UNROLL
  for (int j = 0; j < 4; ++j) {
    r[j] = _mm256_permute2f128_ps(quad[j], quad[4 + j], 0x20);
    r[4 + j] = _mm256_permute2f128_ps(quad[j], quad[4 + j], 0x31);
  }
}

SPARSECPU_INLINE void transpose(Vec (&r)[16]) {
  __m256 a[8], b[8], c[8], d[8];
  SPARSECPU_UNROLL
  for (int i = 0; i < 8; ++i) {
    a[i] = r[i].lo;
    b[i] = r[i].hi;
    c[i] = r[8 + i].lo;
    d[i] = r[8 + i].hi;
  }
  transpose_8x8(a);
  transpose_8x8(b);
  transpose_8x8(c);
  transpose_8x8(d);
  SPARSECPU_UNROLL
  for (int i = 0; i < 8; ++i) {
    r[i] = {a[i], c[i]};
    r[8 + i] = {b[i], d[i]};
  }
}

#else

SPARSECPU_INLINE void transpose(Vec (&r)[16]) {
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < i; ++j) {
      const float t = r[i].lane[j];
      r[i].lane[j] = r[j].lane[i];
      r[j].lane[i] = t;
    }
  }
}

#endif

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
