// Depthwise convolution on lane-blocked bytes. The four channels of a lane are four sums over taps, so the bytes
// of four taps are interleaved: then a lane holds one channel's four taps, and one multiplication takes them all.
// With 3x3 taps, the four columns that two neighbouring windows cover are interleaved once for both, and once for all
// the windows of a block of positions that lie above one another.
#pragma once
#include "kernels/impl/qoutput.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// Sums of one vector of channels at one position, in the order that interleave() makes.
using QuarterSums = Ints[4];

SPARSECPU_INLINE void depthwise_quarter(QuarterSums& acc, const Bytes (&taps)[4], const Factor& factor) {
  SPARSECPU_UNROLL
  for (int i = 0; i < 4; ++i) acc[i] = add_product(acc[i], input_of(taps[i]), factor);
}

SPARSECPU_INLINE void start_quarters(QuarterSums& acc, const int32_t* bias) {
  const Bytes quarter = set_quarter(bias);
  Ints start;
  __builtin_memcpy(&start, &quarter, sizeof start);
  SPARSECPU_UNROLL
  for (int i = 0; i < 4; ++i) acc[i] = start;
}

// finish(acc, p) of these stores what becomes of one vector's sums at position p.

// Bytes without a residual.
struct FinishQuarterBytes {
  const LaneTile& tile;
  const int64_t vector;
  const Vec multiplier, most;
  const int zero_point;

  FinishQuarterBytes(const QDepthwiseWeights&, int64_t v, const LaneTile& t, const QuantizedOutput& out)
      : tile(t),
        vector(v),
        multiplier(set_quarter_floats(out.multiplier + 4 * v)),
        most(highest(out.zero_point)),
        zero_point(out.zero_point) {}
  SPARSECPU_INLINE void operator()(QuarterSums& acc, int p) const {
    SPARSECPU_UNROLL
    for (int i = 0; i < 4; ++i) acc[i] = to_ints(min(mul(to_float(acc[i]), multiplier), most));
    store_bytes(tile.y[p] + vector * kLanes, pack_quarters(acc, zero_point));
  }
};

struct FinishQuarters {
  const LaneTile& tile;
  const int64_t vector, channels;
  const QuantizedOutput& out;

  FinishQuarters(const QDepthwiseWeights& w, int64_t v, const LaneTile& t, const QuantizedOutput& o)
      : tile(t), vector(v), channels(w.channels), out(o) {}
  SPARSECPU_INLINE void operator()(QuarterSums& acc, int p) const {
    transpose_quarters(acc);
    finish_quad(acc, 4 * vector, channels, out, tile.y[p], tile.residual[p]);
  }
};

// Any taps, one position.
template <class Finish>
void qdepthwise_any(const QDepthwiseWeights& w, int64_t vector, const ptrdiff_t* tap_offset, const float* x,
                    const int32_t* bias, const Finish& finish, int p) {
  const int quads = (w.taps + 3) / 4;
  const uint32_t* weight = w.weights + vector * quads * 4;
  QuarterSums acc;
  start_quarters(acc, bias);
  for (int t = 0; t < w.taps; t += 4, weight += 4) {
    Bytes tap[4], taps[4];
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) tap[j] = load_bytes(x + tap_offset[t + j < w.taps ? t + j : t]);
    interleave(tap[0], tap[1], tap[2], tap[3], taps);
    depthwise_quarter(acc, taps, factor_of(set_quarter(weight)));
  }
  finish(acc, p);
}

// A block of a tile for 3x3 taps: rows x columns positions from `first` on, row by row, whose windows are `stride` taps
// apart in both directions.
struct DepthwiseBlock {
  int first, rows, columns, stride;
};
// Distances between neighbouring taps.
struct TapSteps {
  ptrdiff_t row, column;
};

// One vector of channels in a column of a block, or in two neighbouring ones: x is the first window, p the first
// position. The bytes of a row's columns are interleaved once for both and, where windows overlap, for the next
// position of the column.
template <int Stride, bool Pair, class Finish>
SPARSECPU_INLINE void qdepthwise_column(const uint32_t* weights, const int32_t* bias, TapSteps steps, const float* x,
                                        const DepthwiseBlock& block, int p, const Finish& finish) {
  constexpr int kRows = 3, kKept = kRows - Stride;  // rows that the next position uses again
  Bytes left[kRows], right[kRows];
  SPARSECPU_UNROLL
  for (int r = 0; r < kRows; ++r) {
    left[r] = set_quarter(weights + r * 4);
    right[r] = Stride == 1 ? shift_lanes_left_8(left[r]) : shift_lanes_left_8(shift_lanes_left_8(left[r]));
  }
  const Bytes last = set_quarter(weights + kRows * 4);
  QuarterSums start;
  start_quarters(start, bias);
  const auto interleave_row = [&](const float* row, Bytes(&taps)[4]) {
    const Bytes third = load_bytes(row + 2 * steps.column);
    interleave(load_bytes(row), load_bytes(row + steps.column), third,
               Pair ? load_bytes(row + 3 * steps.column) : third, taps);
  };
  Bytes taps[kRows][4];
  SPARSECPU_UNROLL
  for (int r = 0; r < kKept; ++r) interleave_row(x + r * steps.row, taps[r + Stride]);
  for (int row = 0; row < block.rows; ++row, x += Stride * steps.row, p += block.columns) {
    SPARSECPU_UNROLL
    for (int i = 0; i < 4 * kKept; ++i) taps[i / 4][i % 4] = taps[i / 4 + Stride][i % 4];
    SPARSECPU_UNROLL
    for (int r = kKept; r < kRows; ++r) interleave_row(x + r * steps.row, taps[r]);
    QuarterSums sums = {start[0], start[1], start[2], start[3]};
    SPARSECPU_UNROLL
    for (int r = 0; r < kRows; ++r) depthwise_quarter(sums, taps[r], factor_of(left[r]));
    finish(sums, p);
    if (!Pair) continue;
    QuarterSums next = {start[0], start[1], start[2], start[3]};
    SPARSECPU_UNROLL
    for (int r = 0; r < kRows; ++r) depthwise_quarter(next, taps[r], factor_of(right[r]));
    if (Stride == 2) {  // the fifth column
      const float* top = x + 4 * steps.column;
      const Bytes lowest = load_bytes(top + 2 * steps.row);
      Bytes column[4];
      interleave(load_bytes(top), load_bytes(top + steps.row), lowest, lowest, column);
      depthwise_quarter(next, column, factor_of(last));
    }
    finish(next, p + 1);
  }
}

template <int Stride, class Finish>
SPARSECPU_INLINE void qdepthwise_block(const QDepthwiseWeights& w, int64_t v, TapSteps steps, ptrdiff_t first_tap,
                                       const DepthwiseBlock& block, const LaneTile& tile, const int32_t* bias,
                                       const Finish& finish) {
  const uint32_t* weights = w.weights_3x3 + v * 16;
  for (int c = 0; c < block.columns; c += 2) {
    const int p = block.first + c;
    const float* x = tile.x[p] + v * kLanes + first_tap;
    if (c + 1 < block.columns) {
      qdepthwise_column<Stride, true>(weights, bias, steps, x, block, p, finish);
    } else {
      qdepthwise_column<Stride, false>(weights, bias, steps, x, block, p, finish);
    }
  }
}

// True if there are 3x3 taps, evenly spaced.
SPARSECPU_INLINE bool is_3x3(const QDepthwiseWeights& w, const ptrdiff_t* tap_offset) {
  if (!w.weights_3x3) return false;
  const ptrdiff_t row = tap_offset[3] - tap_offset[0], column = tap_offset[1] - tap_offset[0];
  for (int t = 0; t < 9; ++t) {
    if (tap_offset[t] - tap_offset[0] != t / 3 * row + t % 3 * column) return false;
  }
  return true;
}

// The largest block of the tile that begins with position `first`.
DepthwiseBlock block_from(const LaneTile& tile, int first, TapSteps steps) {
  const auto apart = [&](int p, int q, ptrdiff_t by) { return q < tile.positions && tile.x[q] - tile.x[p] == by; };
  DepthwiseBlock block{first, 1, 1, 1};
  if (apart(first, first + 1, 2 * steps.column)) block.stride = 2;
  while (apart(first + block.columns - 1, first + block.columns, block.stride * steps.column)) ++block.columns;
  const auto row_follows = [&] {
    const int next = first + block.rows * block.columns;
    for (int c = 0; c < block.columns; ++c) {
      if (!apart(next + c - block.columns, next + c, block.stride * steps.row)) return false;
    }
    return true;
  };
  while (row_follows()) ++block.rows;
  return block;
}

template <class Finish>
void qdepthwise_tile(const QDepthwiseWeights& w, int64_t vector_begin, int64_t vector_end, const ptrdiff_t* tap_offset,
                     const LaneTile& tile, const QuantizedOutput& out) {
  const bool in_blocks = is_3x3(w, tap_offset);
  const TapSteps steps =
      in_blocks ? TapSteps{tap_offset[3] - tap_offset[0], tap_offset[1] - tap_offset[0]} : TapSteps{};
  for (int p = 0; p < tile.positions;) {
    const DepthwiseBlock block = in_blocks ? block_from(tile, p, steps) : DepthwiseBlock{p, 1, 1, 0};
    for (int64_t v = vector_begin; v < vector_end; ++v) {
      const Finish finish(w, v, tile, out);
      const int32_t* bias = out.bias + 4 * v;
      if (block.stride == 1) {
        qdepthwise_block<1>(w, v, steps, tap_offset[0], block, tile, bias, finish);
      } else if (block.stride == 2) {
        qdepthwise_block<2>(w, v, steps, tap_offset[0], block, tile, bias, finish);
      } else {
        qdepthwise_any(w, v, tap_offset, tile.x[p] + v * kLanes, bias, finish, p);
      }
    }
    p += block.rows * block.columns;
  }
}

void qdepthwise(const QDepthwiseWeights& w, int64_t vector_begin, int64_t vector_end, const ptrdiff_t* tap_offset,
                const LaneTile& tile, const QuantizedOutput& out) {
  if (out.form == QuantizedOutput::Form::kBytes && !out.sum) {
    qdepthwise_tile<FinishQuarterBytes>(w, vector_begin, vector_end, tap_offset, tile, out);
  } else {
    qdepthwise_tile<FinishQuarters>(w, vector_begin, vector_end, tap_offset, tile, out);
  }
  const int64_t row_end = 4 * vector_end < w.channels ? 4 * vector_end : w.channels;
  for (int p = 0; p < tile.positions; ++p) look_up_rows(out, 4 * vector_begin, row_end, tile.y[p]);
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
