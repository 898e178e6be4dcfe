// Vec in one zmm register. Semantics: vec.h.
#pragma once
#include <immintrin.h>

// GCC 12 initialises the don't-care operand of most AVX-512 intrinsics with itself and then warns of it.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

struct Vec {
  __m512 v;
};
struct Mask {
  __mmask16 bits;
};

SPARSECPU_INLINE Vec load(const float* p) { return {_mm512_load_ps(p)}; }
SPARSECPU_INLINE Vec loadu(const float* p) { return {_mm512_loadu_ps(p)}; }
SPARSECPU_INLINE void store(float* p, Vec v) { _mm512_store_ps(p, v.v); }
SPARSECPU_INLINE void storeu(float* p, Vec v) { _mm512_storeu_ps(p, v.v); }
SPARSECPU_INLINE __mmask16 first_bits(int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
SPARSECPU_INLINE Vec load_first(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(first_bits(n), p)}; }
SPARSECPU_INLINE void store_first(float* p, Vec v, int64_t n) { _mm512_mask_storeu_ps(p, first_bits(n), v.v); }

SPARSECPU_INLINE Vec set1(float x) { return {_mm512_set1_ps(x)}; }
SPARSECPU_INLINE Vec zero() { return {_mm512_setzero_ps()}; }
SPARSECPU_INLINE Vec add(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
SPARSECPU_INLINE Vec sub(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
SPARSECPU_INLINE Vec mul(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
SPARSECPU_INLINE Vec div(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
SPARSECPU_INLINE Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
SPARSECPU_INLINE Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
SPARSECPU_INLINE Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }

SPARSECPU_INLINE Vec sqrt(Vec a) { return {_mm512_sqrt_ps(a.v)}; }

SPARSECPU_INLINE Vec magnitude(Vec a) { return {_mm512_abs_ps(a.v)}; }
// |a| with the sign of b.
SPARSECPU_INLINE Vec with_sign(Vec a, Vec b) {
  const __m512 sign = _mm512_set1_ps(-0.0f);
  return {_mm512_or_ps(_mm512_andnot_ps(sign, a.v), _mm512_and_ps(sign, b.v))};
}
// Nearest integer, for |a| < 2^22.
SPARSECPU_INLINE Vec round_small(Vec a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// a * 2^n for integral n in [-126, 127].
SPARSECPU_INLINE Vec times_power_of_two(Vec a, Vec n) { return {_mm512_scalef_ps(a.v, n.v)}; }

SPARSECPU_INLINE Mask mask_of(uint16_t bits) { return {bits}; }
SPARSECPU_INLINE Mask less(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
SPARSECPU_INLINE Mask nan_lanes(Vec a) { return {_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q)}; }
SPARSECPU_INLINE bool any(Mask m) { return m.bits != 0; }
SPARSECPU_INLINE Vec select(Mask m, Vec a, Vec b) { return {_mm512_mask_blend_ps(m.bits, b.v, a.v)}; }
SPARSECPU_INLINE void store_lanes(float* p, Mask m, Vec v) { _mm512_mask_store_ps(p, m.bits, v.v); }

using Four = __m128;
SPARSECPU_INLINE Four load_four(const float* p) { return _mm_loadu_ps(p); }
SPARSECPU_INLINE void store_four(float* p, Four v) { _mm_storeu_ps(p, v); }
using FirstFour = __mmask8;
SPARSECPU_INLINE FirstFour first_four(int64_t n) { return static_cast<__mmask8>((1u << n) - 1u); }
SPARSECPU_INLINE Four load_four_first(const float* p, FirstFour first, Four rest) {
  return _mm_mask_loadu_ps(rest, first, p);
}
SPARSECPU_INLINE void store_four_first(float* p, Four v, FirstFour first) {
  // Not one instruction with the extraction of a quarter: that faults on memory outside the mask.
  asm("" : "+v"(v));
  _mm_mask_storeu_ps(p, first, v);
}
SPARSECPU_INLINE Vec join(Four a, Four b, Four c, Four d) {
  const __m512 first = _mm512_insertf32x4(_mm512_castps128_ps512(a), b, 1);
  return {_mm512_insertf32x4(_mm512_insertf32x4(first, c, 2), d, 3)};
}
template <int Q>
SPARSECPU_INLINE Four quarter(Vec v) {
  return _mm512_extractf32x4_ps(v.v, Q);
}

using Register = Vec;
constexpr int kRegisterLanes = 16;
SPARSECPU_INLINE Register load_register(const float* p) { return load(p); }
SPARSECPU_INLINE void store_register(float* p, Register v) { store(p, v); }
SPARSECPU_INLINE Register set1_register(float x) { return set1(x); }
struct Pick {
  __m512i index;
  __mmask16 mask;
};
SPARSECPU_INLINE Pick make_pick(const uint8_t* index, uint32_t lanes) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(index))),
          static_cast<__mmask16>(lanes)};
}
SPARSECPU_INLINE uint32_t lanes_from(const uint8_t*, int) { return 0xffff; }
SPARSECPU_INLINE Register pick(Register rest, Pick p, Register v) {
  return {_mm512_mask_permutexvar_ps(rest.v, p.mask, p.index, v.v)};
}
SPARSECPU_INLINE Register blend(Register rest, Pick p, Register v) {
  return {_mm512_mask_blend_ps(p.mask, rest.v, v.v)};
}
SPARSECPU_INLINE Register collect(const float* const* from, int64_t at) {
  alignas(64) float lanes[16];
  SPARSECPU_UNROLL
  for (int l = 0; l < 16; ++l) lanes[l] = from[l][at];
  return load(lanes);
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
