// Bytes and Ints in portable C++. Semantics: qvec.h.
#pragma once

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

struct Bytes {
  uint8_t at[64];
};
struct Ints {
  int32_t lane[16];
};

template <class F>
SPARSECPU_INLINE Bytes each_byte(F f) {
  Bytes r;
  for (int i = 0; i < 64; ++i) r.at[i] = static_cast<uint8_t>(f(i));
  return r;
}
template <class F>
SPARSECPU_INLINE Ints each_int(F f) {
  Ints r;
  for (int l = 0; l < 16; ++l) r.lane[l] = static_cast<int32_t>(f(l));
  return r;
}
SPARSECPU_INLINE Bytes load_bytes_first(const void* p, int64_t n) {
  Bytes r = {};
  __builtin_memcpy(r.at, p, static_cast<size_t>(n < 64 ? n : 64));
  return r;
}
SPARSECPU_INLINE void store_bytes_first(void* p, const Bytes& v, int64_t n) {
  __builtin_memcpy(p, v.at, static_cast<size_t>(n < 64 ? n : 64));
}
SPARSECPU_INLINE Bytes load_bytes(const void* p) { return load_bytes_first(p, 64); }
SPARSECPU_INLINE void store_bytes(void* p, const Bytes& v) { store_bytes_first(p, v, 64); }
SPARSECPU_INLINE Bytes set_quarters(const uint8_t* const (&p)[4]) {
  return each_byte([&](int i) { return p[i / 16][i % 16]; });
}
SPARSECPU_INLINE Bytes set_lane(uint32_t four) {
  return each_byte([&](int i) { return four >> (8 * (i % 4)); });
}
SPARSECPU_INLINE Bytes set_byte(uint8_t one) {
  return each_byte([&](int) { return one; });
}
SPARSECPU_INLINE Bytes set_quarter(const void* p) {
  return each_byte([&](int i) { return static_cast<const uint8_t*>(p)[i % 16]; });
}
SPARSECPU_INLINE Bytes shift_lanes_left_8(const Bytes& a) {
  return each_byte([&](int i) { return i % 4 == 0 ? 0 : a.at[i - 1]; });
}
SPARSECPU_INLINE Bytes max_bytes(const Bytes& a, const Bytes& b) {
  return each_byte([&](int i) { return a.at[i] > b.at[i] ? a.at[i] : b.at[i]; });
}
SPARSECPU_INLINE Bytes xor_bytes(const Bytes& a, const Bytes& b) {
  return each_byte([&](int i) { return a.at[i] ^ b.at[i]; });
}

SPARSECPU_INLINE Ints set_int(int32_t x) {
  return each_int([&](int) { return x; });
}
SPARSECPU_INLINE Ints load_ints(const void* p) {
  Ints r;
  __builtin_memcpy(r.lane, p, sizeof r.lane);
  return r;
}
SPARSECPU_INLINE void store_ints(void* p, const Ints& v) { __builtin_memcpy(p, v.lane, sizeof v.lane); }
// Modulo 2^32, as the vector instructions.
SPARSECPU_INLINE uint32_t bits_of(int32_t x) { return static_cast<uint32_t>(x); }
SPARSECPU_INLINE Ints add(const Ints& a, const Ints& b) {
  return each_int([&](int l) { return bits_of(a.lane[l]) + bits_of(b.lane[l]); });
}
SPARSECPU_INLINE Ints sub(const Ints& a, const Ints& b) {
  return each_int([&](int l) { return bits_of(a.lane[l]) - bits_of(b.lane[l]); });
}
SPARSECPU_INLINE Ints multiply_low(const Ints& a, const Ints& b) {
  return each_int([&](int l) { return bits_of(a.lane[l]) * bits_of(b.lane[l]); });
}
SPARSECPU_INLINE Ints keep_lanes(uint16_t mask, const Ints& a) {
  return each_int([&](int l) { return (mask >> l) & 1 ? a.lane[l] : 0; });
}
SPARSECPU_INLINE int32_t sum_ints(const Ints& a) {
  uint32_t sum = 0;
  for (int l = 0; l < 16; ++l) sum += bits_of(a.lane[l]);
  return static_cast<int32_t>(sum);
}
SPARSECPU_INLINE Vec to_float(const Ints& a) {
  return each_lane([&](int l) { return static_cast<float>(a.lane[l]); });
}
SPARSECPU_INLINE int32_t to_int(float x) {
  constexpr float kLimit = 2147483648.0f;
  if (!(x >= -kLimit && x < kLimit)) return INT32_MIN;
  return static_cast<int32_t>(__builtin_rintf(x));
}
SPARSECPU_INLINE Ints to_ints(const Vec& a) {
  return each_int([&](int l) { return to_int(a.lane[l]); });
}
template <class To, class From>
SPARSECPU_INLINE To copy_bits(const From& from) {
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}
SPARSECPU_INLINE Vec as_floats(const Ints& a) { return copy_bits<Vec>(a); }
SPARSECPU_INLINE Vec as_floats(const Bytes& a) { return copy_bits<Vec>(a); }
SPARSECPU_INLINE Ints as_ints(const Bytes& a) { return load_ints(a.at); }
SPARSECPU_INLINE Bytes as_bytes(const Vec& a) { return copy_bits<Bytes>(a); }
SPARSECPU_INLINE Vec set_quarter_floats(const float* p) {
  return each_lane([&](int l) { return p[l % 4]; });
}
// One rounding, unlike this level's fma.
SPARSECPU_INLINE Vec fused(const Vec& a, const Vec& b, const Vec& c) {
  return each_lane([&](int l) { return __builtin_fmaf(a.lane[l], b.lane[l], c.lane[l]); });
}

using Input = Bytes;
using Factor = Bytes;
SPARSECPU_INLINE Input input_of(const Bytes& x) { return x; }
SPARSECPU_INLINE Factor factor_of(const Bytes& w) { return w; }
SPARSECPU_INLINE Ints add_product(const Ints& acc, const Input& x, const Factor& w) {
  return each_int([&](int l) {
    uint32_t sum = bits_of(acc.lane[l]);
    for (int j = 4 * l; j < 4 * l + 4; ++j) sum += bits_of(x.at[j] * static_cast<int8_t>(w.at[j]));
    return sum;
  });
}
SPARSECPU_INLINE Ints add_product_split(const Ints& acc, const Bytes& x, const Bytes& w) {
  return add_product(acc, x, w);
}

SPARSECPU_INLINE Ints byte_of(const Bytes& x, int j) {
  return each_int([&](int l) { return x.at[4 * l + j]; });
}
SPARSECPU_INLINE Ints quarter_part(const Bytes& x, int i) {
  return each_int([&](int l) { return x.at[l / 4 * 16 + 4 * i + l % 4]; });
}
SPARSECPU_INLINE Ints flat_part(const Bytes& x, int i) {
  return each_int([&](int l) { return x.at[16 * i + l]; });
}
SPARSECPU_INLINE int saturate(int32_t x, int zero) {
  if (x < -256) x = -256;
  if (x > 255) x = 255;
  x += zero;
  return x < 0 ? 0 : x > 255 ? 255 : x;
}
SPARSECPU_INLINE Bytes pack_quarters(const Ints (&r)[4], int zero) {
  return each_byte([&](int i) { return saturate(r[i % 16 / 4].lane[i / 16 * 4 + i % 4], zero); });
}
SPARSECPU_INLINE Bytes pack(const Ints (&r)[4], int zero) {
  return each_byte([&](int i) { return saturate(r[i % 4].lane[i / 4], zero); });
}
SPARSECPU_INLINE Bytes pack_flat(const Ints (&r)[4], int zero) {
  return each_byte([&](int i) { return saturate(r[i / 16].lane[i % 16], zero); });
}
SPARSECPU_INLINE Bytes transpose_bytes(const Bytes& x) {
  return each_byte([&](int i) { return x.at[i / 16 * 16 + i % 4 * 4 + i % 16 / 4]; });
}
SPARSECPU_INLINE Bytes transpose_lanes(const Bytes& x) {
  return each_byte([&](int i) { return x.at[i % 16 / 4 * 16 + i / 16 * 4 + i % 4]; });
}
SPARSECPU_INLINE void interleave(const Bytes& a, const Bytes& b, const Bytes& c, const Bytes& d, Bytes (&r)[4]) {
  const Bytes* from[4] = {&a, &b, &c, &d};
  Bytes result[4];
  for (int i = 0; i < 4; ++i) {
    result[i] = each_byte([&](int at) { return from[at % 4]->at[at / 16 * 16 + 4 * i + at % 16 / 4]; });
  }
  for (int i = 0; i < 4; ++i) r[i] = result[i];
}
SPARSECPU_INLINE Bytes expand(const uint32_t* p, uint16_t mask) {
  return copy_bits<Bytes>(each_int([&](int l) { return (mask >> l) & 1 ? *p++ : 0; }));
}
SPARSECPU_INLINE Bytes look_up(const uint8_t* table, const Bytes& x) {
  return each_byte([&](int i) { return table[x.at[i]]; });
}
SPARSECPU_INLINE Vec gather(const float* table, const Ints& index) {
  return each_lane([&](int l) { return table[index.lane[l]]; });
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
