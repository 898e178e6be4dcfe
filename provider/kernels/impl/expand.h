// Two operations that only the few-rows kernel needs: spreading packed values over lanes, and the sum of a
// vector's lanes.
#pragma once
#include "kernels/impl/vec.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// expand(p, mask): lane l holds p[number of mask bits below l] if bit l is set, else 0. p[0, 16) is readable.
// sum_lanes: pairs (l, l + 8), then (l, l + 4), (l, l + 2), (l, l + 1): the same order on every level.
#if defined(SPARSECPU_LEVEL_AVX512)

constexpr int kFewRowsBlock = 4;  // dense rows a block: 16 accumulators beside 4 inputs

SPARSECPU_INLINE Vec expand(const float* p, uint16_t mask) {
  return {_mm512_maskz_expand_ps(mask, _mm512_loadu_ps(p))};
}
SPARSECPU_INLINE __m256 upper_half(Vec v) { return _mm512_extractf32x8_ps(v.v, 1); }
SPARSECPU_INLINE __m256 lower_half(Vec v) { return _mm512_castps512_ps256(v.v); }

#elif defined(SPARSECPU_LEVEL_AVX2)

constexpr int kFewRowsBlock = 2;

// Lane l reads value (set bits below l) of its half; the index of each lane sits in four bits.
struct ExpandTable {
  uint32_t places[256];
};
constexpr ExpandTable make_expand_table() {
  ExpandTable table{};
  for (int mask = 0; mask < 256; ++mask) {
    uint32_t next = 0;
    for (int lane = 0; lane < 8; ++lane) {
      if ((mask >> lane) & 1) table.places[mask] |= next++ << (4 * lane);
    }
  }
  return table;
}
constexpr ExpandTable kExpandTable = make_expand_table();

SPARSECPU_INLINE __m256 expand_half(const float* p, uint32_t mask) {
  const __m256i shift = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
  const __m256i place = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(kExpandTable.places[mask])), shift);
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i chosen = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(mask)), bit), bit);
  // vpermps reads three bits of an index; bit 3 and the neighbours above are ignored.
  return _mm256_and_ps(_mm256_permutevar8x32_ps(_mm256_loadu_ps(p), place), _mm256_castsi256_ps(chosen));
}
SPARSECPU_INLINE Vec expand(const float* p, uint16_t mask) {
  const uint32_t lower = mask & 255u;
  return {expand_half(p, lower), expand_half(p + __builtin_popcount(lower), mask >> 8)};
}
SPARSECPU_INLINE __m256 upper_half(Vec v) { return v.hi; }
SPARSECPU_INLINE __m256 lower_half(Vec v) { return v.lo; }

#else

constexpr int kFewRowsBlock = 1;

SPARSECPU_INLINE Vec expand(const float* p, uint16_t mask) {
  Vec result;
  for (int l = 0; l < kVec; ++l) result.lane[l] = (mask >> l) & 1 ? *p++ : 0.0f;
  return result;
}
SPARSECPU_INLINE float sum_lanes(Vec v) {
  for (int half = 8; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) v.lane[l] += v.lane[l + half];
  }
  return v.lane[0];
}

#endif

#if !defined(SPARSECPU_LEVEL_SCALAR)
SPARSECPU_INLINE float sum_lanes(Vec v) {
  const __m256 eight = _mm256_add_ps(lower_half(v), upper_half(v));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
#endif

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
