// Bytes and Ints in one zmm register. Semantics: qvec.h.
#pragma once

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

struct Bytes {
  __m512i v;
};
struct Ints {
  __m512i v;
};

SPARSECPU_INLINE Bytes load_bytes(const void* p) { return {_mm512_loadu_si512(p)}; }
SPARSECPU_INLINE void store_bytes(void* p, Bytes v) { _mm512_storeu_si512(p, v.v); }
SPARSECPU_INLINE __mmask64 first_byte_bits(int64_t n) { return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1; }
SPARSECPU_INLINE Bytes load_bytes_first(const void* p, int64_t n) {
  return {_mm512_maskz_loadu_epi8(first_byte_bits(n), p)};
}
SPARSECPU_INLINE void store_bytes_first(void* p, Bytes v, int64_t n) {
  _mm512_mask_storeu_epi8(p, first_byte_bits(n), v.v);
}
SPARSECPU_INLINE Bytes set_lane(uint32_t four) { return {_mm512_set1_epi32(static_cast<int>(four))}; }
SPARSECPU_INLINE Bytes set_byte(uint8_t one) { return {_mm512_set1_epi8(static_cast<char>(one))}; }
SPARSECPU_INLINE Bytes set_quarter(const void* p) {
  return {_mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(p)))};
}
SPARSECPU_INLINE Bytes set_quarters(const uint8_t* const (&p)[4]) {
  const auto quarter = [&](int q) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p[q])); };
  const __m512i first = _mm512_inserti32x4(_mm512_castsi128_si512(quarter(0)), quarter(1), 1);
  return {_mm512_inserti32x4(_mm512_inserti32x4(first, quarter(2), 2), quarter(3), 3)};
}
SPARSECPU_INLINE Bytes shift_lanes_left_8(Bytes a) { return {_mm512_slli_epi32(a.v, 8)}; }
SPARSECPU_INLINE Bytes max_bytes(Bytes a, Bytes b) { return {_mm512_max_epu8(a.v, b.v)}; }
SPARSECPU_INLINE Bytes xor_bytes(Bytes a, Bytes b) { return {_mm512_xor_si512(a.v, b.v)}; }

SPARSECPU_INLINE Ints set_int(int32_t x) { return {_mm512_set1_epi32(x)}; }
SPARSECPU_INLINE Ints load_ints(const void* p) { return {_mm512_loadu_si512(p)}; }
SPARSECPU_INLINE void store_ints(void* p, Ints v) { _mm512_storeu_si512(p, v.v); }
SPARSECPU_INLINE Ints add(Ints a, Ints b) { return {_mm512_add_epi32(a.v, b.v)}; }
SPARSECPU_INLINE Ints sub(Ints a, Ints b) { return {_mm512_sub_epi32(a.v, b.v)}; }
SPARSECPU_INLINE Ints multiply_low(Ints a, Ints b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
SPARSECPU_INLINE Ints keep_lanes(uint16_t mask, Ints a) { return {_mm512_maskz_mov_epi32(mask, a.v)}; }
SPARSECPU_INLINE int32_t sum_ints(Ints a) { return _mm512_reduce_add_epi32(a.v); }
SPARSECPU_INLINE Vec to_float(Ints a) { return {_mm512_cvtepi32_ps(a.v)}; }
SPARSECPU_INLINE Ints to_ints(Vec a) { return {_mm512_cvtps_epi32(a.v)}; }
SPARSECPU_INLINE Vec as_floats(Ints a) { return {_mm512_castsi512_ps(a.v)}; }
SPARSECPU_INLINE Vec as_floats(Bytes a) { return {_mm512_castsi512_ps(a.v)}; }
SPARSECPU_INLINE Ints as_ints(Bytes a) { return {a.v}; }
SPARSECPU_INLINE Bytes as_bytes(Vec a) { return {_mm512_castps_si512(a.v)}; }
SPARSECPU_INLINE Vec set_quarter_floats(const float* p) { return {_mm512_broadcast_f32x4(_mm_loadu_ps(p))}; }
SPARSECPU_INLINE Vec fused(Vec a, Vec b, Vec c) { return fma(a, b, c); }

#if defined(SPARSECPU_LEVEL_VNNI)
using Input = Bytes;
using Factor = Bytes;
SPARSECPU_INLINE Input input_of(Bytes x) { return x; }
SPARSECPU_INLINE Factor factor_of(Bytes w) { return w; }
SPARSECPU_INLINE Ints add_product(Ints acc, Input x, Factor w) { return {_mm512_dpbusd_epi32(acc.v, x.v, w.v)}; }
SPARSECPU_INLINE Ints add_product_split(Ints acc, Bytes x, Bytes w) { return add_product(acc, x, w); }
#else
// Even and odd bytes as 16-bit numbers: sums of two products of them fit 32 bits.
struct Input {
  __m512i even, odd;
};
struct Factor {
  __m512i even, odd;
};
SPARSECPU_INLINE Input input_of(Bytes x) {
  return {_mm512_and_si512(x.v, _mm512_set1_epi16(255)), _mm512_srli_epi16(x.v, 8)};
}
SPARSECPU_INLINE Factor factor_of(Bytes w) {
  return {_mm512_srai_epi16(_mm512_slli_epi16(w.v, 8), 8), _mm512_srai_epi16(w.v, 8)};
}
SPARSECPU_INLINE Ints add_product(Ints acc, Input x, Factor w) {
  const __m512i even = _mm512_madd_epi16(x.even, w.even), odd = _mm512_madd_epi16(x.odd, w.odd);
  return {_mm512_add_epi32(acc.v, _mm512_add_epi32(even, odd))};
}
SPARSECPU_INLINE Ints add_product_split(Ints acc, Bytes x, Bytes w) {
  const __m512i pairs = _mm512_maddubs_epi16(x.v, w.v);
  return {_mm512_add_epi32(acc.v, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
}
#endif

SPARSECPU_INLINE Bytes transpose_bytes(Bytes x) {
  const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  return {_mm512_shuffle_epi8(x.v, order)};
}
SPARSECPU_INLINE Ints byte_of(Bytes x, int j) {
  return {_mm512_and_si512(_mm512_srlv_epi32(x.v, _mm512_set1_epi32(8 * j)), _mm512_set1_epi32(255))};
}
SPARSECPU_INLINE Ints quarter_part(Bytes x, int i) {
  const __m128i spread = _mm_setr_epi8(0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1);
  const __m512i order = _mm512_broadcast_i32x4(_mm_add_epi8(spread, _mm_set1_epi32(4 * i)));
  return {_mm512_shuffle_epi8(x.v, order)};
}
SPARSECPU_INLINE Ints flat_part(Bytes x, int i) {
  const __m512i quarter = _mm512_permutexvar_epi64(_mm512_setr_epi64(2 * i, 2 * i + 1, 0, 0, 0, 0, 0, 0), x.v);
  return {_mm512_cvtepu8_epi32(_mm512_castsi512_si128(quarter))};
}
SPARSECPU_INLINE Bytes pack_quarters(const Ints (&r)[4], int zero) {
  const __m512i z = _mm512_set1_epi16(static_cast<short>(zero));
  const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(r[0].v, r[1].v), z);
  const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(r[2].v, r[3].v), z);
  return {_mm512_packus_epi16(low, high)};
}
SPARSECPU_INLINE Bytes pack(const Ints (&r)[4], int zero) { return transpose_bytes(pack_quarters(r, zero)); }
SPARSECPU_INLINE Bytes transpose_lanes(Bytes x) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return {_mm512_permutexvar_epi32(order, x.v)};
}
SPARSECPU_INLINE Bytes pack_flat(const Ints (&r)[4], int zero) { return transpose_lanes(pack_quarters(r, zero)); }
SPARSECPU_INLINE void interleave(Bytes a, Bytes b, Bytes c, Bytes d, Bytes (&r)[4]) {
  const __m512i ab_low = _mm512_unpacklo_epi8(a.v, b.v), ab_high = _mm512_unpackhi_epi8(a.v, b.v);
  const __m512i cd_low = _mm512_unpacklo_epi8(c.v, d.v), cd_high = _mm512_unpackhi_epi8(c.v, d.v);
  r[0].v = _mm512_unpacklo_epi16(ab_low, cd_low);
  r[1].v = _mm512_unpackhi_epi16(ab_low, cd_low);
  r[2].v = _mm512_unpacklo_epi16(ab_high, cd_high);
  r[3].v = _mm512_unpackhi_epi16(ab_high, cd_high);
}
SPARSECPU_INLINE Bytes expand(const uint32_t* p, uint16_t mask) {
  return {_mm512_maskz_expand_epi32(mask, _mm512_loadu_si512(p))};
}
// One shuffle for each 16 entries; adding 0x70 with saturation sets the top bit, which makes the shuffle give
// 0, unless the index lies in the shuffle's 16.
SPARSECPU_INLINE Bytes look_up(const uint8_t* table, Bytes x) {
  const __m512i guard = _mm512_set1_epi8(0x70);
  __m512i result = _mm512_setzero_si512();
  for (int i = 0; i < 16; ++i) {
    const __m512i entries = set_quarter(table + 16 * i).v;
    const __m512i index = _mm512_xor_si512(x.v, _mm512_set1_epi8(static_cast<char>(16 * i)));
    result = _mm512_or_si512(result, _mm512_shuffle_epi8(entries, _mm512_adds_epu8(index, guard)));
  }
  return {result};
}
SPARSECPU_INLINE Vec gather(const float* table, Ints index) { return {_mm512_i32gather_ps(index.v, table, 4)}; }

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
