// Vec in two ymm registers. Semantics: vec.h.
#pragma once
#include <immintrin.h>

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

struct Vec {
  __m256 lo, hi;
};
struct Mask {
  __m256 lo, hi;  // sign bit of each lane
};

SPARSECPU_INLINE Vec load(const float* p) { return {_mm256_load_ps(p), _mm256_load_ps(p + 8)}; }
SPARSECPU_INLINE Vec loadu(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
SPARSECPU_INLINE void store(float* p, Vec v) {
  _mm256_store_ps(p, v.lo);
  _mm256_store_ps(p + 8, v.hi);
}
SPARSECPU_INLINE void storeu(float* p, Vec v) {
  _mm256_storeu_ps(p, v.lo);
  _mm256_storeu_ps(p + 8, v.hi);
}
// All ones in lanes l of [first, first + 8) with l < n. vmaskmov does not fault on lanes it leaves out.
SPARSECPU_INLINE __m256i first_lanes(int first, int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n) - first), lane);
}
SPARSECPU_INLINE Vec load_first(const float* p, int64_t n) {
  return {_mm256_maskload_ps(p, first_lanes(0, n)), _mm256_maskload_ps(p + 8, first_lanes(8, n))};
}
SPARSECPU_INLINE void store_first(float* p, Vec v, int64_t n) {
  _mm256_maskstore_ps(p, first_lanes(0, n), v.lo);
  _mm256_maskstore_ps(p + 8, first_lanes(8, n), v.hi);
}

SPARSECPU_INLINE Vec set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
SPARSECPU_INLINE Vec zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
SPARSECPU_INLINE Vec add(Vec a, Vec b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
SPARSECPU_INLINE Vec sub(Vec a, Vec b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
SPARSECPU_INLINE Vec mul(Vec a, Vec b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
SPARSECPU_INLINE Vec div(Vec a, Vec b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
SPARSECPU_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
SPARSECPU_INLINE Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
SPARSECPU_INLINE Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
SPARSECPU_INLINE Vec sqrt(Vec a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }

SPARSECPU_INLINE Vec magnitude(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
// |a| with the sign of b.
SPARSECPU_INLINE Vec with_sign(Vec a, Vec b) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(sign, a.lo), _mm256_and_ps(sign, b.lo)),
          _mm256_or_ps(_mm256_andnot_ps(sign, a.hi), _mm256_and_ps(sign, b.hi))};
}
// Nearest integer, for |a| < 2^22.
SPARSECPU_INLINE Vec round_small(Vec a) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.lo, kMode), _mm256_round_ps(a.hi, kMode)};
}
// a * 2^n for integral n in [-126, 127].
SPARSECPU_INLINE __m256 times_power_of_two(__m256 a, __m256 n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
SPARSECPU_INLINE Vec times_power_of_two(Vec a, Vec n) {
  return {times_power_of_two(a.lo, n.lo), times_power_of_two(a.hi, n.hi)};
}

SPARSECPU_INLINE __m256 sign_lanes(uint32_t bits) {
  const __m256i lane = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
  return _mm256_castsi256_ps(_mm256_sllv_epi32(_mm256_set1_epi32(static_cast<int>(bits)), lane));
}
SPARSECPU_INLINE Mask mask_of(uint16_t bits) { return {sign_lanes(bits), sign_lanes(bits >> 8)}; }
SPARSECPU_INLINE Mask less(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}
SPARSECPU_INLINE Mask nan_lanes(Vec a) {
  return {_mm256_cmp_ps(a.lo, a.lo, _CMP_UNORD_Q), _mm256_cmp_ps(a.hi, a.hi, _CMP_UNORD_Q)};
}
SPARSECPU_INLINE bool any(Mask m) { return _mm256_movemask_ps(_mm256_or_ps(m.lo, m.hi)) != 0; }
SPARSECPU_INLINE Vec select(Mask m, Vec a, Vec b) {
  return {_mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi)};
}
SPARSECPU_INLINE void store_lanes(float* p, Mask m, Vec v) {
  _mm256_maskstore_ps(p, _mm256_castps_si256(m.lo), v.lo);
  _mm256_maskstore_ps(p + 8, _mm256_castps_si256(m.hi), v.hi);
}

using Four = __m128;
SPARSECPU_INLINE Four load_four(const float* p) { return _mm_loadu_ps(p); }
SPARSECPU_INLINE void store_four(float* p, Four v) { _mm_storeu_ps(p, v); }
struct FirstFour {
  int count;
};
SPARSECPU_INLINE FirstFour first_four(int64_t n) { return {static_cast<int>(n)}; }
SPARSECPU_INLINE Four load_four_first(const float* p, FirstFour first, Four rest) {
  const __m128i inside = _mm_cmpgt_epi32(_mm_set1_epi32(first.count), _mm_setr_epi32(0, 1, 2, 3));
  return _mm_blendv_ps(rest, _mm_maskload_ps(p, inside), _mm_castsi128_ps(inside));
}
// Not by vmaskmovps, which takes some 20 instructions' time on AMD CPUs.
SPARSECPU_INLINE void store_four_first(float* p, Four v, FirstFour first) {
  if (first.count == 4) return _mm_storeu_ps(p, v);
  if (first.count >= 2) _mm_storel_pi(reinterpret_cast<__m64*>(p), v);
  if (first.count == 1) _mm_store_ss(p, v);
  if (first.count == 3) _mm_store_ss(p + 2, _mm_movehl_ps(v, v));
}
SPARSECPU_INLINE Vec join(Four a, Four b, Four c, Four d) { return {_mm256_set_m128(b, a), _mm256_set_m128(d, c)}; }
template <int Q>
SPARSECPU_INLINE Four quarter(Vec v) {
  return _mm256_extractf128_ps(Q < 2 ? v.lo : v.hi, Q % 2);
}

using Register = __m256;
constexpr int kRegisterLanes = 8;
SPARSECPU_INLINE Register load_register(const float* p) { return _mm256_load_ps(p); }
SPARSECPU_INLINE void store_register(float* p, Register v) { _mm256_store_ps(p, v); }
SPARSECPU_INLINE Register set1_register(float x) { return _mm256_set1_ps(x); }
SPARSECPU_INLINE Register add(Register a, Register b) { return _mm256_add_ps(a, b); }
SPARSECPU_INLINE Register fma(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
SPARSECPU_INLINE Register min(Register a, Register b) { return _mm256_min_ps(a, b); }
SPARSECPU_INLINE Register max(Register a, Register b) { return _mm256_max_ps(a, b); }
struct Pick {
  __m256i index;  // vpermps reads bits 0-2
  __m256 mask;    // sign bit of each lane
};
SPARSECPU_INLINE Pick make_pick(const uint8_t* index, uint32_t lanes) {
  return {_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(index))), sign_lanes(lanes)};
}
// Bit l: index[l] names a lane of the register that holds lanes [8 * from, 8 * from + 8).
SPARSECPU_INLINE uint32_t lanes_from(const uint8_t* index, int from) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(index));
  const uint32_t upper = static_cast<uint32_t>(_mm_movemask_epi8(_mm_slli_epi16(bytes, 4)));
  return (from != 0 ? upper : ~upper) & 0xff;
}
SPARSECPU_INLINE Register pick(Register rest, Pick p, Register v) {
  return _mm256_blendv_ps(rest, _mm256_permutevar8x32_ps(v, p.index), p.mask);
}
SPARSECPU_INLINE Register blend(Register rest, Pick p, Register v) { return _mm256_blendv_ps(rest, v, p.mask); }
SPARSECPU_INLINE __m128 collect_four(const float* const* from, int64_t at) {
  __m128 v = _mm_load_ss(from[0] + at);
  v = _mm_insert_ps(v, _mm_load_ss(from[1] + at), 0x10);
  v = _mm_insert_ps(v, _mm_load_ss(from[2] + at), 0x20);
  return _mm_insert_ps(v, _mm_load_ss(from[3] + at), 0x30);
}
SPARSECPU_INLINE Register collect(const float* const* from, int64_t at) {
  return _mm256_set_m128(collect_four(from + 4, at), collect_four(from, at));
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
