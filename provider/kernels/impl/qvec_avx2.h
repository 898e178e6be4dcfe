// Bytes and Ints in two ymm registers. Semantics: qvec.h.
#pragma once

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

struct Bytes {
  __m256i lo, hi;
};
struct Ints {
  __m256i lo, hi;
};

SPARSECPU_INLINE __m256i load_half(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
SPARSECPU_INLINE Bytes load_bytes(const void* p) { return {load_half(p), load_half(static_cast<const char*>(p) + 32)}; }
SPARSECPU_INLINE void store_bytes(void* p, Bytes v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), v.lo);
  _mm256_storeu_si256(static_cast<__m256i*>(p) + 1, v.hi);
}
SPARSECPU_INLINE Bytes load_bytes_first(const void* p, int64_t n) {
  if (n >= 64) return load_bytes(p);
  alignas(32) uint8_t copy[64] = {};
  __builtin_memcpy(copy, p, static_cast<size_t>(n));
  return load_bytes(copy);
}
SPARSECPU_INLINE void store_bytes_first(void* p, Bytes v, int64_t n) {
  if (n >= 64) return store_bytes(p, v);
  alignas(32) uint8_t copy[64];
  store_bytes(copy, v);
  __builtin_memcpy(p, copy, static_cast<size_t>(n));
}
SPARSECPU_INLINE Bytes twice(__m256i half) { return {half, half}; }
SPARSECPU_INLINE Bytes set_lane(uint32_t four) { return twice(_mm256_set1_epi32(static_cast<int>(four))); }
SPARSECPU_INLINE Bytes set_byte(uint8_t one) { return twice(_mm256_set1_epi8(static_cast<char>(one))); }
SPARSECPU_INLINE Bytes set_quarter(const void* p) {
  return twice(_mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p))));
}
SPARSECPU_INLINE Bytes set_quarters(const uint8_t* const (&p)[4]) {
  const auto quarter = [&](int q) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p[q])); };
  return {_mm256_set_m128i(quarter(1), quarter(0)), _mm256_set_m128i(quarter(3), quarter(2))};
}
SPARSECPU_INLINE Bytes shift_lanes_left_8(Bytes a) { return {_mm256_slli_epi32(a.lo, 8), _mm256_slli_epi32(a.hi, 8)}; }
SPARSECPU_INLINE Bytes max_bytes(Bytes a, Bytes b) {
  return {_mm256_max_epu8(a.lo, b.lo), _mm256_max_epu8(a.hi, b.hi)};
}
SPARSECPU_INLINE Bytes xor_bytes(Bytes a, Bytes b) {
  return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)};
}

SPARSECPU_INLINE Ints set_int(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
SPARSECPU_INLINE Ints load_ints(const void* p) { return {load_half(p), load_half(static_cast<const char*>(p) + 32)}; }
SPARSECPU_INLINE void store_ints(void* p, Ints v) { store_bytes(p, {v.lo, v.hi}); }
SPARSECPU_INLINE Ints add(Ints a, Ints b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
SPARSECPU_INLINE Ints sub(Ints a, Ints b) { return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)}; }
SPARSECPU_INLINE Ints multiply_low(Ints a, Ints b) {
  return {_mm256_mullo_epi32(a.lo, b.lo), _mm256_mullo_epi32(a.hi, b.hi)};
}
SPARSECPU_INLINE Ints keep_lanes(uint16_t mask, Ints a) {
  const Mask m = mask_of(mask);
  return {_mm256_and_si256(_mm256_srai_epi32(_mm256_castps_si256(m.lo), 31), a.lo),
          _mm256_and_si256(_mm256_srai_epi32(_mm256_castps_si256(m.hi), 31), a.hi)};
}
SPARSECPU_INLINE int32_t sum_ints(Ints a) {
  const __m256i eight = _mm256_add_epi32(a.lo, a.hi);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}
SPARSECPU_INLINE Vec to_float(Ints a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
SPARSECPU_INLINE Ints to_ints(Vec a) { return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)}; }
SPARSECPU_INLINE Vec as_floats(Ints a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }
SPARSECPU_INLINE Vec as_floats(Bytes a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }
SPARSECPU_INLINE Ints as_ints(Bytes a) { return {a.lo, a.hi}; }
SPARSECPU_INLINE Bytes as_bytes(Vec a) { return {_mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi)}; }
SPARSECPU_INLINE Vec set_quarter_floats(const float* p) {
  const __m256 half = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(p));
  return {half, half};
}
SPARSECPU_INLINE Vec fused(Vec a, Vec b, Vec c) { return fma(a, b, c); }

// Even and odd bytes as 16-bit numbers: sums of two products of them fit 32 bits.
struct Input {
  Ints even, odd;
};
struct Factor {
  Ints even, odd;
};
SPARSECPU_INLINE Input input_of(Bytes x) {
  const __m256i low = _mm256_set1_epi16(255);
  return {{_mm256_and_si256(x.lo, low), _mm256_and_si256(x.hi, low)},
          {_mm256_srli_epi16(x.lo, 8), _mm256_srli_epi16(x.hi, 8)}};
}
SPARSECPU_INLINE __m256i even_signed(__m256i w) { return _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8); }
SPARSECPU_INLINE Factor factor_of(Bytes w) {
  return {{even_signed(w.lo), even_signed(w.hi)}, {_mm256_srai_epi16(w.lo, 8), _mm256_srai_epi16(w.hi, 8)}};
}
SPARSECPU_INLINE Ints add_product(Ints acc, const Input& x, const Factor& w) {
  const __m256i lo = _mm256_add_epi32(_mm256_madd_epi16(x.even.lo, w.even.lo), _mm256_madd_epi16(x.odd.lo, w.odd.lo));
  const __m256i hi = _mm256_add_epi32(_mm256_madd_epi16(x.even.hi, w.even.hi), _mm256_madd_epi16(x.odd.hi, w.odd.hi));
  return {_mm256_add_epi32(acc.lo, lo), _mm256_add_epi32(acc.hi, hi)};
}
SPARSECPU_INLINE Ints add_product_split(Ints acc, Bytes x, Bytes w) {
  const __m256i one = _mm256_set1_epi16(1);
  return {_mm256_add_epi32(acc.lo, _mm256_madd_epi16(_mm256_maddubs_epi16(x.lo, w.lo), one)),
          _mm256_add_epi32(acc.hi, _mm256_madd_epi16(_mm256_maddubs_epi16(x.hi, w.hi), one))};
}

SPARSECPU_INLINE Bytes shuffle_in_quarters(Bytes x, __m128i order) {
  const __m256i both = _mm256_broadcastsi128_si256(order);
  return {_mm256_shuffle_epi8(x.lo, both), _mm256_shuffle_epi8(x.hi, both)};
}
SPARSECPU_INLINE Ints byte_of(Bytes x, int j) {
  const __m256i shift = _mm256_set1_epi32(8 * j), low = _mm256_set1_epi32(255);
  return {_mm256_and_si256(_mm256_srlv_epi32(x.lo, shift), low), _mm256_and_si256(_mm256_srlv_epi32(x.hi, shift), low)};
}
SPARSECPU_INLINE Ints quarter_part(Bytes x, int i) {
  const __m128i spread = _mm_setr_epi8(0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1);
  const Bytes part = shuffle_in_quarters(x, _mm_add_epi8(spread, _mm_set1_epi32(4 * i)));
  return {part.lo, part.hi};
}
SPARSECPU_INLINE Ints flat_part(Bytes x, int i) {
  const __m256i half = i < 2 ? x.lo : x.hi;
  const __m128i quarter = i % 2 == 0 ? _mm256_castsi256_si128(half) : _mm256_extracti128_si256(half, 1);
  return {_mm256_cvtepu8_epi32(quarter), _mm256_cvtepu8_epi32(_mm_srli_si128(quarter, 8))};
}
SPARSECPU_INLINE __m256i pack_half(__m256i a, __m256i b, __m256i c, __m256i d, __m256i zero) {
  const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero);
  const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zero);
  return _mm256_packus_epi16(low, high);
}
SPARSECPU_INLINE Bytes pack_quarters(const Ints (&r)[4], int zero) {
  const __m256i z = _mm256_set1_epi16(static_cast<short>(zero));
  return {pack_half(r[0].lo, r[1].lo, r[2].lo, r[3].lo, z), pack_half(r[0].hi, r[1].hi, r[2].hi, r[3].hi, z)};
}
SPARSECPU_INLINE Bytes transpose_bytes(Bytes x) {
  return shuffle_in_quarters(x, _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}
SPARSECPU_INLINE Bytes pack(const Ints (&r)[4], int zero) { return transpose_bytes(pack_quarters(r, zero)); }
SPARSECPU_INLINE Bytes transpose_lanes(Bytes x) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i lo = _mm256_permutevar8x32_epi32(x.lo, order), hi = _mm256_permutevar8x32_epi32(x.hi, order);
  const __m256i even = _mm256_unpacklo_epi64(lo, hi), odd = _mm256_unpackhi_epi64(lo, hi);
  return {_mm256_permute2x128_si256(even, odd, 0x20), _mm256_permute2x128_si256(even, odd, 0x31)};
}
SPARSECPU_INLINE Bytes pack_flat(const Ints (&r)[4], int zero) {
  const __m256i z = _mm256_set1_epi16(static_cast<short>(zero));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return {_mm256_permutevar8x32_epi32(pack_half(r[0].lo, r[0].hi, r[1].lo, r[1].hi, z), order),
          _mm256_permutevar8x32_epi32(pack_half(r[2].lo, r[2].hi, r[3].lo, r[3].hi, z), order)};
}
SPARSECPU_INLINE void interleave_half(__m256i a, __m256i b, __m256i c, __m256i d, __m256i (&r)[4]) {
  const __m256i ab_low = _mm256_unpacklo_epi8(a, b), ab_high = _mm256_unpackhi_epi8(a, b);
  const __m256i cd_low = _mm256_unpacklo_epi8(c, d), cd_high = _mm256_unpackhi_epi8(c, d);
  r[0] = _mm256_unpacklo_epi16(ab_low, cd_low);
  r[1] = _mm256_unpackhi_epi16(ab_low, cd_low);
  r[2] = _mm256_unpacklo_epi16(ab_high, cd_high);
  r[3] = _mm256_unpackhi_epi16(ab_high, cd_high);
}
SPARSECPU_INLINE void interleave(Bytes a, Bytes b, Bytes c, Bytes d, Bytes (&r)[4]) {
  __m256i lo[4], hi[4];
  interleave_half(a.lo, b.lo, c.lo, d.lo, lo);
  interleave_half(a.hi, b.hi, c.hi, d.hi, hi);
  SPARSECPU_UNROLL
  for (int i = 0; i < 4; ++i) r[i] = {lo[i], hi[i]};
}

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

SPARSECPU_INLINE __m256i expand_half(const uint32_t* p, uint32_t mask) {
  const __m256i shift = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
  const __m256i place = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(kExpandTable.places[mask])), shift);
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i chosen = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(mask)), bit), bit);
  // vpermd reads three bits of an index; bit 3 and the neighbours above are ignored.
  return _mm256_and_si256(_mm256_permutevar8x32_epi32(load_half(p), place), chosen);
}
SPARSECPU_INLINE Bytes expand(const uint32_t* p, uint16_t mask) {
  const uint32_t lower = mask & 255u;
  return {expand_half(p, lower), expand_half(p + __builtin_popcount(lower), mask >> 8)};
}
// One shuffle for each 16 entries; adding 0x70 with saturation sets the top bit, which makes the shuffle give
// 0, unless the index lies in the shuffle's 16.
SPARSECPU_INLINE Bytes look_up(const uint8_t* table, Bytes x) {
  const __m256i guard = _mm256_set1_epi8(0x70);
  Bytes result = twice(_mm256_setzero_si256());
  for (int i = 0; i < 16; ++i) {
    const __m256i entries = set_quarter(table + 16 * i).lo;
    const __m256i here = _mm256_set1_epi8(static_cast<char>(16 * i));
    const __m256i lo = _mm256_adds_epu8(_mm256_xor_si256(x.lo, here), guard);
    const __m256i hi = _mm256_adds_epu8(_mm256_xor_si256(x.hi, here), guard);
    result.lo = _mm256_or_si256(result.lo, _mm256_shuffle_epi8(entries, lo));
    result.hi = _mm256_or_si256(result.hi, _mm256_shuffle_epi8(entries, hi));
  }
  return result;
}
SPARSECPU_INLINE Vec gather(const float* table, Ints index) {
  return {_mm256_i32gather_ps(table, index.lo, 4), _mm256_i32gather_ps(table, index.hi, 4)};
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
