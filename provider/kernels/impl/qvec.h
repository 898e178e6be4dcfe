// Bytes: 64 u8 or s8; Ints: 16 s32: what the INT8 kernels are written in, beside Vec. qvec_scalar.h, qvec_avx2.h
// and qvec_avx512.h implement them for the level that vec.h chose; SPARSECPU_LEVEL_VNNI marks a level with
// vpdpbusd.
//
// "Lane" is one of 16 groups of four bytes, "quarter" one of four groups of four lanes.
//
// Semantics that all levels share:
//   Input, Factor: the two sides of a product, prepared once for many; add_product(acc, input_of(x),
//     factor_of(w)): acc[l] + sum of x[4l+j] * w[4l+j], x u8, w s8, modulo 2^32. add_product_split takes plain
//     Bytes and is right only where no sum of two neighbouring products exceeds int16.
//   to_ints rounds to nearest even; outside int32, and for NaN, the result is INT32_MIN.
//   byte_of(x, j)[l] = x[4l+j]. pack(r, z): its inverse with z added and saturation: byte 4l+j is r[j][l] + z.
//   quarter_part(x, i)[4q+c] = x[16q+4i+c], pack_quarters its inverse: where the order within a vector does not
//     matter, they are cheaper. flat_part(x, i)[l] = x[16i+l], pack_flat its inverse.
//   transpose_bytes: 4 x 4 bytes in each quarter. transpose_lanes: lane 4q+c <-> lane 4c+q.
//   interleave(a, b, c, d, r): r[i] has in lane 4q+c the bytes 16q+4i+c of a, b, c and d.
//   set_quarters(p): quarter q from the 16 bytes at p[q]; any alignment.
//   expand(p, mask): lane l is p[number of mask bits below l] if bit l is set, else 0. p[0, 16) is readable.
//   look_up(table, x): table[x[i]]. gather(table, i): the floats table[i[l]].
#pragma once
#include "kernels/impl/transpose.h"
#include "kernels/impl/vec.h"

#if defined(SPARSECPU_LEVEL_AVX512)
#include "kernels/impl/qvec_avx512.h"
#elif defined(SPARSECPU_LEVEL_AVX2)
#include "kernels/impl/qvec_avx2.h"
#else
#include "kernels/impl/qvec_scalar.h"
#endif

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

constexpr int kByteVec = 64;

SPARSECPU_INLINE void transpose_quarters(Ints (&r)[4]) {
  Vec v[4] = {as_floats(r[0]), as_floats(r[1]), as_floats(r[2]), as_floats(r[3])};
  transpose_quarters(v[0], v[1], v[2], v[3]);
  SPARSECPU_UNROLL
  for (int i = 0; i < 4; ++i) r[i] = as_ints(as_bytes(v[i]));
}

// The largest value whose rounding plus `zero` is a byte; values above it are lowered to it before conversion,
// which would turn an overflow into INT32_MIN. Low values need no such care: INT32_MIN saturates to 0.
SPARSECPU_INLINE Vec highest(int zero) { return set1(static_cast<float>(255 - zero)); }

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
