// Depthwise convolution on lane-blocked activations: one channel at a time, a block of positions in registers.
// Neighbouring positions share input vectors: where a tile's windows are evenly spaced, each input vector is loaded
// once and used by every window of the block that covers it. For kernels of 3x3 a block is up to 4x4 positions (36
// loads for 144 multiply-adds; on AVX2 up to 8 positions, half a vector at a time), for rows of 5 and 7 taps up to four
// of a row. Whatever the block, an output's taps are added in ascending order.
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

// at: of the channel's vector, or its part, in floats.
template <class V, int P>
SPARSECPU_INLINE void depthwise_start(V (&acc)[P], float bias, const LaneTile& tile, int first, int64_t at) {
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) {
    const float* residual = tile.residual[first + p];
    acc[p] = set1_as<V>(bias);
    if (residual) acc[p] = add(acc[p], load_as<V>(residual + at));
  }
}

SPARSECPU_INLINE void depthwise_store(float* y, Vec v) { store(y, v); }
#if defined(SPARSECPU_LEVEL_AVX2)
SPARSECPU_INLINE void depthwise_store(float* y, Register v) { store_register(y, v); }
#endif

template <class V, int P>
SPARSECPU_INLINE void depthwise_finish(const V (&acc)[P], Clamp limits, const LaneTile& tile, int first, int64_t at) {
  const V lo = set1_as<V>(limits.lo), hi = set1_as<V>(limits.hi);
  SPARSECPU_UNROLL
  for (int p = 0; p < P; ++p) depthwise_store(tile.y[first + p] + at, clamp(acc[p], lo, hi));
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
    depthwise_start(acc, pass.weights.bias[channel], tile, first, channel * kLanes);
    for (int t = 0; t < taps; ++t) {
      const Vec factor = set1(weight[t]);
      const ptrdiff_t at = pass.tap_offset[t] + channel * kLanes;
      SPARSECPU_UNROLL
      for (int p = 0; p < P; ++p) acc[p] = fma(factor, load(x[p] + at), acc[p]);
    }
    depthwise_finish(acc, pass.limits, tile, first, channel * kLanes);
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
    depthwise_start(acc, pass.weights.bias[channel], tile, first, channel * kLanes);
    for (int t = 0; t < taps; t += Width) {
      const float* x = window + pass.tap_offset[t];
      Vec factor[Width];
      SPARSECPU_UNROLL
      for (int i = 0; i < Width; ++i) factor[i] = set1(weight[t + i]);
      // Whole, up to 13 turns (4 positions, stride 2, width 7): acc must not be indexed at run time.
      SPARSECPU_UNROLL
      for (int q = 0; q < (P - 1) * Stride + Width; ++q) {
        const Vec input = load(x + q * step);
        SPARSECPU_UNROLL
        for (int p = 0; p < P; ++p) {
          const int i = q - p * Stride;
          if (i >= 0 && i < Width) acc[p] = fma(factor[i], input, acc[p]);
        }
      }
    }
    depthwise_finish(acc, pass.limits, tile, first, channel * kLanes);
  }
}

// 3x3 taps; a block of Rows x Columns positions, row by row in the tile, whose windows are Stride taps apart. A
// register each: a vector's parts one after another.
template <int Rows, int Columns, int Stride>
void depthwise_block(const DepthwisePass& pass, const LaneTile& tile, int first) {
  constexpr int kTaps = 9;
  const ptrdiff_t row_step = pass.tap_offset[3] - pass.tap_offset[0];
  const ptrdiff_t step = pass.tap_offset[1] - pass.tap_offset[0];
  for (int64_t channel = pass.channel_begin; channel < pass.channel_end; ++channel) {
    const float* weight = pass.weights.weights + channel * kTaps;
    Register factor[kTaps];
    SPARSECPU_UNROLL
    for (int t = 0; t < kTaps; ++t) factor[t] = set1_register(weight[t]);
    for (int64_t at = channel * kLanes; at < (channel + 1) * kLanes; at += kRegisterLanes) {
      const float* x = tile.x[first] + at + pass.tap_offset[0];
      Register acc[Rows * Columns];
      depthwise_start(acc, pass.weights.bias[channel], tile, first, at);
      SPARSECPU_UNROLL
      for (int i = 0; i < (Rows - 1) * Stride + 3; ++i, x += row_step) {
        SPARSECPU_UNROLL
        for (int j = 0; j < (Columns - 1) * Stride + 3; ++j) {
          const Register input = load_register(x + j * step);
          SPARSECPU_UNROLL
          for (int p = 0; p < Rows * Columns; ++p) {
            const int row = i - p / Columns * Stride, column = j - p % Columns * Stride;
            if (row >= 0 && row < 3 && column >= 0 && column < 3) {
              acc[p] = fma(factor[row * 3 + column], input, acc[p]);
            }
          }
        }
      }
      depthwise_finish(acc, pass.limits, tile, first, at);
    }
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

// Of 32 or 16 registers: the others hold nine factors and an input.
#if defined(SPARSECPU_LEVEL_AVX512)
constexpr int kBlockPositions = 16;
#else
constexpr int kBlockPositions = 8;
#endif
constexpr int kBlockRows = 4, kBlockColumns = 4;

// Positions of the tile from `first` on that form a block.
struct DepthwiseBlock {
  int rows = 1, columns = 1;
  ptrdiff_t row_distance = 0, column_distance = 0;  // between windows
};

SPARSECPU_INLINE DepthwiseBlock block_at(const LaneTile& tile, int first) {
  DepthwiseBlock block;
  const int left = tile.positions - first;
  const float* const* x = tile.x + first;
  if (left > 1) block.column_distance = x[1] - x[0];
  while (block.columns < kBlockColumns && block.columns < left &&
         x[block.columns] - x[block.columns - 1] == block.column_distance) {
    ++block.columns;
  }
  const int width = block.columns;
  if (left > width) block.row_distance = x[width] - x[0];
  const int most = kBlockPositions < left ? kBlockPositions : left;
  while (block.rows < kBlockRows && (block.rows + 1) * width <= most) {
    const float* const* row = x + block.rows * width;
    bool even = row[0] - row[-width] == block.row_distance;
    for (int p = 1; p < width; ++p) even = even && row[p] - row[p - 1] == block.column_distance;
    if (!even) break;
    ++block.rows;
  }
  return block;
}

template <int Rows, int Columns, int Stride>
SPARSECPU_INLINE void depthwise_if_fits(const DepthwisePass& pass, const LaneTile& tile, int first) {
  if constexpr (Rows * Columns <= kBlockPositions) depthwise_block<Rows, Columns, Stride>(pass, tile, first);
}

template <int Rows, int Stride>
SPARSECPU_INLINE void depthwise_columns(int columns, const DepthwisePass& pass, const LaneTile& tile, int first) {
  switch (columns) {
    case 1:
      return depthwise_if_fits<Rows, 1, Stride>(pass, tile, first);
    case 2:
      return depthwise_if_fits<Rows, 2, Stride>(pass, tile, first);
    case 3:
      return depthwise_if_fits<Rows, 3, Stride>(pass, tile, first);
    default:
      return depthwise_if_fits<Rows, 4, Stride>(pass, tile, first);
  }
}

template <int Stride>
SPARSECPU_INLINE void depthwise_3x3(const DepthwiseBlock& block, const DepthwisePass& pass, const LaneTile& tile,
                                    int first) {
  switch (block.rows) {
    case 1:
      return depthwise_columns<1, Stride>(block.columns, pass, tile, first);
    case 2:
      return depthwise_columns<2, Stride>(block.columns, pass, tile, first);
    case 3:
      return depthwise_columns<3, Stride>(block.columns, pass, tile, first);
    default:
      return depthwise_columns<4, Stride>(block.columns, pass, tile, first);
  }
}

template <int Stride, int Width>
SPARSECPU_INLINE void depthwise_row(int columns, const DepthwisePass& pass, const LaneTile& tile, int first,
                                    ptrdiff_t step) {
  switch (columns) {
    case 2:
      return depthwise_rows<2, Stride, Width>(pass, tile, first, step);
    case 3:
      return depthwise_rows<3, Stride, Width>(pass, tile, first, step);
    default:
      return depthwise_rows<4, Stride, Width>(pass, tile, first, step);
  }
}

// The positions computed, from `first` on.
template <int Stride>
SPARSECPU_INLINE int depthwise_even(const DepthwiseBlock& block, const DepthwisePass& pass, const LaneTile& tile,
                                    int first) {
  const int taps = pass.weights.taps;
  const ptrdiff_t step = pass.tap_offset[1] - pass.tap_offset[0];
  if (block.columns > 1 && block.column_distance != Stride * step) return 0;
  if (taps == 9 && taps_in_rows(pass.tap_offset, taps, 3, step)) {
    const ptrdiff_t row_step = pass.tap_offset[3] - pass.tap_offset[0];
    DepthwiseBlock now = block;
    if (pass.tap_offset[6] - pass.tap_offset[3] != row_step) return 0;
    if (block.row_distance != Stride * row_step) now.rows = 1;
    if (now.rows * now.columns == 1) return 0;
    depthwise_3x3<Stride>(now, pass, tile, first);
    return now.rows * now.columns;
  }
  if (block.columns == 1) return 0;
  if (taps_in_rows(pass.tap_offset, taps, 5, step)) {
    depthwise_row<Stride, 5>(block.columns, pass, tile, first, step);
  } else if (taps_in_rows(pass.tap_offset, taps, 7, step)) {
    depthwise_row<Stride, 7>(block.columns, pass, tile, first, step);
  } else {
    return 0;
  }
  return block.columns;
}

void depthwise(const DepthwiseWeights& weights, int64_t channel_begin, int64_t channel_end, const ptrdiff_t* tap_offset,
               const LaneTile& tile, Clamp limits) {
  const DepthwisePass pass{weights, channel_begin, channel_end, tap_offset, limits};
  for (int first = 0; first < tile.positions;) {
    int done = 0;
#if !defined(SPARSECPU_LEVEL_SCALAR)
    if (weights.taps > 1) {
      const DepthwiseBlock block = block_at(tile, first);
      done = depthwise_even<1>(block, pass, tile, first);
      if (done == 0) done = depthwise_even<2>(block, pass, tile, first);
      if (done == 0 && block.columns == 4) depthwise_any<4>(pass, tile, first), done = 4;
    }
#endif
    if (done == 0) depthwise_any<1>(pass, tile, first), done = 1;
    first += done;
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
