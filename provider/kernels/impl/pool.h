// Pooling over taps, and masked sums over positions (global average pooling). Both walk the channels in
// blocks of four vectors, so that a tap's pointer, offset or mask is fetched once for four.
#pragma once
#include "kernels/impl/vec.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

template <int Vectors, class Join, class Finish>
SPARSECPU_INLINE void pool_block(const float* const* x, int taps, float* y, int64_t at, Join join, Finish finish) {
  Vec pooled[Vectors];
  SPARSECPU_UNROLL
  for (int v = 0; v < Vectors; ++v) pooled[v] = load(x[0] + at + v * kVec);
  for (int t = 1; t < taps; ++t) {
    SPARSECPU_UNROLL
    for (int v = 0; v < Vectors; ++v) pooled[v] = join(pooled[v], load(x[t] + at + v * kVec));
  }
  SPARSECPU_UNROLL
  for (int v = 0; v < Vectors; ++v) store(y + at + v * kVec, finish(pooled[v]));
}

template <class Join, class Finish>
SPARSECPU_INLINE void pool(const float* const* x, int taps, float* y, int64_t count, Join join, Finish finish) {
  int64_t i = 0;
  for (; i + 4 * kVec <= count; i += 4 * kVec) pool_block<4>(x, taps, y, i, join, finish);
  for (; i < count; i += kVec) pool_block<1>(x, taps, y, i, join, finish);
}

void pool_max(const float* const* x, int taps, float* y, int64_t count) {
  pool(x, taps, y, count, [](Vec best, Vec tap) { return max(best, tap); }, [](Vec best) { return best; });
}

void pool_average(const float* const* x, int taps, const float* lane_scale, float* y, int64_t count) {
  const Vec scale = loadu(lane_scale);
  pool(x, taps, y, count, [](Vec sum, Vec tap) { return add(sum, tap); }, [&](Vec sum) { return mul(sum, scale); });
}

template <int Vectors>
SPARSECPU_INLINE void sum_positions_block(const float* x, const ptrdiff_t* offset, const uint16_t* mask,
                                          int64_t positions, int64_t channel, float* y) {
  Vec sum[Vectors];
  SPARSECPU_UNROLL
  for (int v = 0; v < Vectors; ++v) sum[v] = zero();
  for (int64_t p = 0; p < positions; ++p) {
    const Mask lanes = mask_of(mask[p]);
    const float* from = x + offset[p] + channel * kVec;
    SPARSECPU_UNROLL
    for (int v = 0; v < Vectors; ++v) sum[v] = add(sum[v], select(lanes, load(from + v * kVec), zero()));
  }
  SPARSECPU_UNROLL
  for (int v = 0; v < Vectors; ++v) store(y + (channel + v) * kVec, sum[v]);
}

void sum_positions(const float* x, const ptrdiff_t* offset, const uint16_t* mask, int64_t positions,
                   int64_t channel_begin, int64_t channel_end, float* y) {
  int64_t c = channel_begin;
  for (; c + 4 <= channel_end; c += 4) sum_positions_block<4>(x, offset, mask, positions, c, y);
  for (; c < channel_end; ++c) sum_positions_block<1>(x, offset, mask, positions, c, y);
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
