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
SPARSECPU_INLINE Mask nan_lanes(Vec a) {
  return each_bit([&](int l) { return a.lane[l] != a.lane[l]; });  // NOLINT(misc-redundant-expression)
}
SPARSECPU_INLINE bool any(Mask m) { return m.bits != 0; }
SPARSECPU_INLINE Vec select(Mask m, Vec a, Vec b) {
  return each_lane([&](int l) { return (m.bits >> l) & 1 ? a.lane[l] : b.lane[l]; });
}
SPARSECPU_INLINE void store_lanes(float* p, Mask m, Vec v) {
  for (int l = 0; l < 16; ++l) {
    if ((m.bits >> l) & 1) p[l] = v.lane[l];
  }
}

struct Four {
  float at[4];
};
struct FirstFour {
  int64_t count;
};
SPARSECPU_INLINE FirstFour first_four(int64_t n) { return {n}; }
SPARSECPU_INLINE Four load_four_first(const float* p, FirstFour first, Four rest) {
  for (int64_t i = 0; i < first.count; ++i) rest.at[i] = p[i];
  return rest;
}
SPARSECPU_INLINE void store_four_first(float* p, Four v, FirstFour first) {
  for (int64_t i = 0; i < first.count; ++i) p[i] = v.at[i];
}
SPARSECPU_INLINE Four load_four(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
SPARSECPU_INLINE void store_four(float* p, Four v) { store_four_first(p, v, {4}); }
SPARSECPU_INLINE Vec join(Four a, Four b, Four c, Four d) {
  const Four* quarters[4] = {&a, &b, &c, &d};
  return each_lane([&](int l) { return quarters[l / 4]->at[l % 4]; });
}
template <int Q>
SPARSECPU_INLINE Four quarter(const Vec& v) {
  return {{v.lane[4 * Q], v.lane[4 * Q + 1], v.lane[4 * Q + 2], v.lane[4 * Q + 3]}};
}

using Register = Vec;
constexpr int kRegisterLanes = 16;
SPARSECPU_INLINE Register load_register(const float* p) { return load(p); }
SPARSECPU_INLINE void store_register(float* p, Register v) { store(p, v); }
SPARSECPU_INLINE Register set1_register(float x) { return set1(x); }
struct Pick {
  uint8_t index[16];
  Mask mask;
};
SPARSECPU_INLINE Pick make_pick(const uint8_t* index, uint32_t lanes) {
  Pick p;
  __builtin_memcpy(p.index, index, sizeof p.index);
  p.mask = mask_of(static_cast<uint16_t>(lanes));
  return p;
}
SPARSECPU_INLINE uint32_t lanes_from(const uint8_t*, int) { return 0xffff; }
SPARSECPU_INLINE Register pick(Register rest, Pick p, Register v) {
  return select(p.mask, each_lane([&](int l) { return v.lane[p.index[l] & 15]; }), rest);
}
SPARSECPU_INLINE Register blend(Register rest, Pick p, Register v) { return select(p.mask, v, rest); }
SPARSECPU_INLINE Register collect(const float* const* from, int64_t at) {
  return each_lane([&](int l) { return from[l][at]; });
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
