// Depthwise convolution on lane-blocked activations: one channel at a time, the tile's positions in
// registers. Neighbouring positions of a row share input vectors: where the tile's windows are evenly spaced
// and the taps come in kernel rows of 3, 5 or 7, each input vector is loaded once and used by every window
// that covers it. Either way an output's taps are added in ascending order.
#pragma once
#include "kernels/impl/vec.h"
#include "kernels/kernels.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

struct DepthwisePass {
  const DepthwiseWeights& weights;
  int64_t channel_begin, channel_end;
  const ptrdiff_t* tap_offset;
  Clamp limits;
};

template <int P>
SPARSECPU_INLINE void depthwise_start(Vec (&acc)[P], float bias, const LaneTile& tile, int first, int64_t channel) {
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) {
    const float* residual = tile.residual[first + p];
    acc[p] = residual ? add(set1(bias), load(residual + channel * kLanes)) : set1(bias);
  }
}

template <int P>
SPARSECPU_INLINE void depthwise_finish(const Vec (&acc)[P], Clamp limits, const LaneTile& tile, int first,
                                       int64_t channel) {
  const Vec lo = set1(limits.lo), hi = set1(limits.hi);
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) store(tile.y[first + p] + channel * kLanes, clamp(acc[p], lo, hi));
}

// Any taps, any positions.
template <int P>
void depthwise_any(const DepthwisePass& pass, const LaneTile& tile, int first) {
  const int taps = pass.weights.taps;
  const float* x[P];
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) x[p] = tile.x[first + p];
  for (int64_t channel = pass.channel_begin; channel < pass.channel_end; ++channel) {
    const float* weight = pass.weights.weights + channel * taps;
    Vec acc[P];
    depthwise_start<P>(acc, pass.weights.bias[channel], tile, first, channel);
    for (int t = 0; t < taps; ++t) {
      const Vec factor = set1(weight[t]);
      const ptrdiff_t at = pass.tap_offset[t] + channel * kLanes;
      SPARSECPU_UNROLL
      for (int p = 0; p < P; ++p) acc[p] = fma(factor, load(x[p] + at), acc[p]);
    }
    depthwise_finish<P>(acc, pass.limits, tile, first, channel);
  }
}

// Kernel rows of Width taps `step` apart; windows Stride * step apart.
template <int P, int Stride, int Width>
void depthwise_rows(const DepthwisePass& pass, const LaneTile& tile, int first, ptrdiff_t step) {
  const int taps = pass.weights.taps;
  for (int64_t channel = pass.channel_begin; channel < pass.channel_end; ++channel) {
    const float* weight = pass.weights.weights + channel * taps;
    const float* window = tile.x[first] + channel * kLanes;
    Vec acc[P];
    depthwise_start<P>(acc, pass.weights.bias[channel], tile, first, channel);
    for (int t = 0; t < taps; t += Width) {
      const float* x = window + pass.tap_offset[t];
      Vec factor[Width];
      SPARSECPU_UNROLL
      for (int i = 0; i < Width; ++i) factor[i] = set1(weight[t + i]);
      // Whole, up to 21 turns (8 positions, stride 2, width 7): acc must not be indexed at run time.
#pragma GCC unroll 32
      for (int q = 0; q < (P - 1) * Stride + Width; ++q) {
        const Vec input = load(x + q * step);
        SPARSECPU_UNROLL
        for (int p = 0; p < P; ++p) {
          const int i = q - p * Stride;
          if (i >= 0 && i < Width) acc[p] = fma(factor[i], input, acc[p]);
        }
      }
    }
    depthwise_finish<P>(acc, pass.limits, tile, first, channel);
  }
}

// True if the taps come in kernel rows of `width` taps `step` apart.
SPARSECPU_INLINE bool taps_in_rows(const ptrdiff_t* offset, int taps, int width, ptrdiff_t step) {
  if (taps % width != 0) return false;
  for (int t = 0; t < taps; ++t) {
    if (t % width != 0 && offset[t] - offset[t - 1] != step) return false;
  }
  return true;
}

template <int P, int Width>
SPARSECPU_INLINE bool depthwise_try(const DepthwisePass& pass, const LaneTile& tile, int first, ptrdiff_t step,
                                    ptrdiff_t distance) {
  if (!taps_in_rows(pass.tap_offset, pass.weights.taps, Width, step)) return false;
  if (distance == step) return depthwise_rows<P, 1, Width>(pass, tile, first, step), true;
  if (distance == 2 * step) return depthwise_rows<P, 2, Width>(pass, tile, first, step), true;
  return false;
}

template <int P>
SPARSECPU_INLINE void depthwise_positions(const DepthwisePass& pass, const LaneTile& tile, int first) {
  if constexpr (P > 1) {
    const ptrdiff_t distance = tile.x[first + 1] - tile.x[first];
    bool even = pass.weights.taps > 1;
    for (int p = 1; p < P; ++p) even = even && tile.x[first + p] - tile.x[first + p - 1] == distance;
    if (even) {
      const ptrdiff_t step = pass.tap_offset[1] - pass.tap_offset[0];
      if (depthwise_try<P, 3>(pass, tile, first, step, distance)) return;
      if (depthwise_try<P, 5>(pass, tile, first, step, distance)) return;
      if (depthwise_try<P, 7>(pass, tile, first, step, distance)) return;
    }
  }
  depthwise_any<P>(pass, tile, first);
}

void depthwise(const DepthwiseWeights& weights, int64_t channel_begin, int64_t channel_end, const ptrdiff_t* tap_offset,
               const LaneTile& tile, Clamp limits) {
  const DepthwisePass pass{weights, channel_begin, channel_end, tap_offset, limits};
  int first = 0;
#if defined(SPARSECPU_LEVEL_AVX512)
  if (tile.positions == 8) return depthwise_positions<8>(pass, tile, 0);
  if (tile.positions == 7) return depthwise_positions<7>(pass, tile, 0);
#endif
#if !defined(SPARSECPU_LEVEL_SCALAR)
  for (; first + 4 <= tile.positions; first += 4) depthwise_positions<4>(pass, tile, first);
  switch (tile.positions - first) {
    case 3:
      return depthwise_positions<3>(pass, tile, first);
    case 2:
      return depthwise_positions<2>(pass, tile, first);
    default:
      break;
  }
#endif
  for (; first < tile.positions; ++first) depthwise_any<1>(pass, tile, first);
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
