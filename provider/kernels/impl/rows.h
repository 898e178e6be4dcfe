// 16 rows to and from lanes, in blocks of 16 columns that are transposed in registers. A row's end is
// loaded and stored under a mask: nothing outside rows[l][0, lengths[l]) is touched.
#pragma once
#include "kernels/impl/transpose.h"
#include "kernels/impl/vec.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

SPARSECPU_INLINE int64_t shortest(const int64_t* lengths) {
  int64_t least = lengths[0];
  for (int l = 1; l < kVec; ++l) least = lengths[l] < least ? lengths[l] : least;
  return least;
}

// row[at, at + 16), with `fill` from row's length on.
SPARSECPU_INLINE Vec load_or_fill(const float* row, int64_t at, int64_t length, Vec fill) {
  const int64_t left = length - at;
  if (left >= kVec) return loadu(row + at);
  if (left <= 0) return fill;
  return select(mask_of(static_cast<uint16_t>((1u << left) - 1u)), load_first(row + at, left), fill);
}

void load_rows(const float* const* rows, const int64_t* lengths, int64_t count, float fill_value, float* y,
               int64_t stride) {
  const Vec fill = set1(fill_value);
  const int64_t full = shortest(lengths);
  Vec block[kVec];
  for (int64_t i = 0; i < count; i += kVec) {
    float* to = y + i * stride;
    if (i + kVec <= full) {
      SPARSECPU_UNROLL
      for (int l = 0; l < kVec; ++l) block[l] = loadu(rows[l] + i);
    } else {
      SPARSECPU_UNROLL
      for (int l = 0; l < kVec; ++l) block[l] = load_or_fill(rows[l], i, lengths[l], fill);
    }
    transpose(block);
    if (i + kVec <= count) {
      SPARSECPU_UNROLL
      for (int c = 0; c < kVec; ++c) store(to + c * stride, block[c]);
    } else {
      for (int64_t c = 0; c < count - i; ++c) store(to + c * stride, block[c]);
    }
  }
}

void store_rows(const float* x, int64_t stride, int64_t count, float* const* rows, const int64_t* lengths) {
  const int64_t full = shortest(lengths);
  Vec block[kVec];
  for (int64_t i = 0; i < count; i += kVec) {
    const float* from = x + i * stride;
    const int64_t columns = count - i < kVec ? count - i : kVec;
    SPARSECPU_UNROLL
    for (int c = 0; c < kVec; ++c) block[c] = c < columns ? load(from + c * stride) : zero();
    transpose(block);
    if (i + kVec <= full) {
      SPARSECPU_UNROLL
      for (int l = 0; l < kVec; ++l) storeu(rows[l] + i, block[l]);
      continue;
    }
    SPARSECPU_UNROLL
    for (int l = 0; l < kVec; ++l) {
      const int64_t left = lengths[l] - i;
      if (left >= kVec) {
        storeu(rows[l] + i, block[l]);
      } else if (left > 0) {
        store_first(rows[l] + i, block[l], left);
      }
    }
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
