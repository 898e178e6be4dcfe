// Vec: 16 float lanes, the one vocabulary that the kernels are written in. vec_scalar.h, vec_avx2.h and
// vec_avx512.h implement it; the table file of a level chooses by defining SPARSECPU_LEVEL (its namespace)
// and SPARSECPU_LEVEL_SCALAR, _AVX2 or _AVX512.
//
// Everything in impl/ lives in an unnamed namespace inside the level's: a function with external linkage
// compiled here could be merged by the linker into code that runs before dispatch.
//
// Semantics that all levels share:
//   min(a, b) = a < b ? a : b, max(a, b) = a > b ? a : b: the second operand if either is NaN (x86 minps), so
//     clamp(x) = min(hi, max(lo, x)) passes NaN through.
//   fma(a, b, c) = a * b + c, one rounding on AVX2 and AVX-512, two on scalar.
//   Mask holds one bit per lane; select(m, a, b) = m ? a : b per lane; any(m): whether a bit is set.
//   store_lanes(p, m, v) writes only the lanes of m: threads may share a vector, each with lanes of its own.
//   load_first(p, n), store_first(p, v, n) touch only p[0, n), 0 <= n <= 16; lanes not loaded are 0.
//   Four: a quarter of a Vec, lanes 4q .. 4q + 3; quarter<q>(v), join(four quarters) -> Vec. load_four_first(p, first,
//   rest),
//     store_four_first(p, v, first) touch only p[0, n) for first = first_four(n), 0 <= n <= 4; else `rest` is loaded.
//   Register: as many lanes as one instruction permutes, kRegisterLanes, a whole Vec or a part of it.
//   pick(rest, make_pick(index, lanes), v): lane l is v[index[l] % kRegisterLanes] if `lanes` has bit l, else rest[l];
//     blend(rest, make_pick(index, lanes), v) the same without the index. lanes_from(index, part): the lanes whose
//     index lies in register `part` of a Vec. collect(from, at): lane l is from[l][at].
#pragma once
#include <cstddef>
#include <cstdint>

#if !defined(SPARSECPU_LEVEL)
#error "define SPARSECPU_LEVEL and one of SPARSECPU_LEVEL_SCALAR, _AVX2, _AVX512 before including impl/"
#endif

#define SPARSECPU_INLINE inline __attribute__((always_inline))
// Before a loop over an array of Vec with constant bounds: unrolled, the array lives in registers.
#define SPARSECPU_UNROLL _Pragma("GCC unroll 16")

#if defined(SPARSECPU_LEVEL_AVX512)
#include "kernels/impl/vec_avx512.h"
#elif defined(SPARSECPU_LEVEL_AVX2)
#include "kernels/impl/vec_avx2.h"
#elif defined(SPARSECPU_LEVEL_SCALAR)
#include "kernels/impl/vec_scalar.h"
#else
#error "define one of SPARSECPU_LEVEL_SCALAR, _AVX2, _AVX512"
#endif

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

constexpr int kVec = 16;

// min(max(x, lo), hi) with NaN passing through.
template <class V>
SPARSECPU_INLINE V clamp(V x, V lo, V hi) {
  return min(hi, max(lo, x));
}

// Of a whole Vec or of a Register, for kernels that need as many registers as there are.
template <class V>
SPARSECPU_INLINE V load_as(const float* p) {
  if constexpr (sizeof(V) == sizeof(Vec)) {
    return load(p);
  } else {
    return load_register(p);
  }
}
template <class V>
SPARSECPU_INLINE V set1_as(float x) {
  if constexpr (sizeof(V) == sizeof(Vec)) {
    return set1(x);
  } else {
    return set1_register(x);
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
