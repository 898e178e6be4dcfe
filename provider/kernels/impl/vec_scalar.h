// Vec in portable C++: the oracle that the other levels are tested against, and the level of machines
// without AVX2. Semantics: vec.h.
#pragma once

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

struct Vec {
  float lane[16];
};
struct Mask {
  uint32_t bits;
};
struct Index {
  uint8_t lane[16];
};

template <class F>
SPARSECPU_INLINE Vec each_lane(F f) {
  Vec r;
  for (int l = 0; l < 16; ++l) r.lane[l] = f(l);
  return r;
}
template <class F>
SPARSECPU_INLINE Mask each_bit(F f) {
  Mask r{0};
  for (int l = 0; l < 16; ++l) r.bits |= static_cast<uint32_t>(f(l)) << l;
  return r;
}
SPARSECPU_INLINE uint32_t bits_of(float x) {
  uint32_t r;
  __builtin_memcpy(&r, &x, sizeof r);
  return r;
}
SPARSECPU_INLINE float float_of(uint32_t x) {
  float r;
  __builtin_memcpy(&r, &x, sizeof r);
  return r;
}

SPARSECPU_INLINE Vec loadu(const float* p) {
  Vec r;
  __builtin_memcpy(r.lane, p, sizeof r.lane);
  return r;
}
SPARSECPU_INLINE void storeu(float* p, Vec v) { __builtin_memcpy(p, v.lane, sizeof v.lane); }
SPARSECPU_INLINE Vec load(const float* p) { return loadu(p); }
SPARSECPU_INLINE void store(float* p, Vec v) { storeu(p, v); }
SPARSECPU_INLINE Vec load_first(const float* p, int64_t n) {
  return each_lane([&](int l) { return l < n ? p[l] : 0.0f; });
}
SPARSECPU_INLINE void store_first(float* p, Vec v, int64_t n) {
  for (int64_t l = 0; l < n; ++l) p[l] = v.lane[l];
}

SPARSECPU_INLINE Vec set1(float x) {
  return each_lane([&](int) { return x; });
}
SPARSECPU_INLINE Vec zero() { return set1(0.0f); }
SPARSECPU_INLINE Vec add(Vec a, Vec b) {
  return each_lane([&](int l) { return a.lane[l] + b.lane[l]; });
}
SPARSECPU_INLINE Vec sub(Vec a, Vec b) {
  return each_lane([&](int l) { return a.lane[l] - b.lane[l]; });
}
SPARSECPU_INLINE Vec mul(Vec a, Vec b) {
  return each_lane([&](int l) { return a.lane[l] * b.lane[l]; });
}
SPARSECPU_INLINE Vec div(Vec a, Vec b) {
  return each_lane([&](int l) { return a.lane[l] / b.lane[l]; });
}
SPARSECPU_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return each_lane([&](int l) { return a.lane[l] * b.lane[l] + c.lane[l]; });
}
SPARSECPU_INLINE Vec min(Vec a, Vec b) {
  return each_lane([&](int l) { return a.lane[l] < b.lane[l] ? a.lane[l] : b.lane[l]; });
}
SPARSECPU_INLINE Vec max(Vec a, Vec b) {
  return each_lane([&](int l) { return a.lane[l] > b.lane[l] ? a.lane[l] : b.lane[l]; });
}
SPARSECPU_INLINE Vec sqrt(Vec a) {
  return each_lane([&](int l) { return __builtin_sqrtf(a.lane[l]); });
}

SPARSECPU_INLINE Vec magnitude(Vec a) {
  return each_lane([&](int l) { return float_of(bits_of(a.lane[l]) & 0x7fffffffu); });
}
// |a| with the sign of b.
SPARSECPU_INLINE Vec with_sign(Vec a, Vec b) {
  return each_lane(
      [&](int l) { return float_of((bits_of(a.lane[l]) & 0x7fffffffu) | (bits_of(b.lane[l]) & 0x80000000u)); });
}
// Nearest integer, for |a| < 2^22: adding 1.5 * 2^23 leaves no bits below 1.
SPARSECPU_INLINE Vec round_small(Vec a) {
  return each_lane([&](int l) { return (a.lane[l] + 12582912.0f) - 12582912.0f; });
}
// a * 2^n for integral n in [-126, 127].
SPARSECPU_INLINE Vec times_power_of_two(Vec a, Vec n) {
  return each_lane(
      [&](int l) { return a.lane[l] * float_of(static_cast<uint32_t>(static_cast<int32_t>(n.lane[l]) + 127) << 23); });
}

SPARSECPU_INLINE Mask mask_of(uint16_t bits) { return {bits}; }
SPARSECPU_INLINE Mask less(Vec a, Vec b) {
  return each_bit([&](int l) { return a.lane[l] < b.lane[l]; });
}
SPARSECPU_INLINE Vec select(Mask m, Vec a, Vec b) {
  return each_lane([&](int l) { return (m.bits >> l) & 1 ? a.lane[l] : b.lane[l]; });
}
SPARSECPU_INLINE void store_lanes(float* p, Mask m, Vec v) {
  for (int l = 0; l < 16; ++l) {
    if ((m.bits >> l) & 1) p[l] = v.lane[l];
  }
}

SPARSECPU_INLINE Index load_index(const uint8_t* p) {
  Index r;
  __builtin_memcpy(r.lane, p, sizeof r.lane);
  return r;
}
// Lane l of the result is lane index[l] (0..15) of v.
SPARSECPU_INLINE Vec permute_lanes(Vec v, Index index) {
  return each_lane([&](int l) { return v.lane[index.lane[l] & 15]; });
}
// Lane l of the result: lane index[l] of v if m has it, else lane l of `rest`.
SPARSECPU_INLINE Vec permute_lanes(Vec rest, Mask m, Vec v, Index index) {
  return select(m, permute_lanes(v, index), rest);
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
