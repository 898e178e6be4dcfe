// Depthwise convolution on lane-blocked bytes. The four channels of a lane are four sums over taps, so the bytes
// of four taps are interleaved: then a lane holds one channel's four taps, and one multiplication takes them all.
// Where two neighbouring windows of 3 columns overlap, the four columns they cover are interleaved once for both.
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

SPARSECPU_INLINE void finish_quarters(QuarterSums& acc, int64_t vector, int64_t channels, const QuantizedOutput& out,
                                      const LaneTile& tile, int p) {
  if (out.form == QuantizedOutput::Form::kBytes && !out.sum) {
    const Vec multiplier = set_quarter_floats(out.multiplier + 4 * vector), most = highest(out.zero_point);
    SPARSECPU_UNROLL
    for (int i = 0; i < 4; ++i) acc[i] = to_ints(min(mul(to_float(acc[i]), multiplier), most));
    store_bytes(tile.y[p] + vector * kLanes, pack_quarters(acc, out.zero_point));
    return;
  }
  transpose_quarters(acc);
  finish_quad(acc, 4 * vector, channels, out, tile.y[p], tile.residual[p]);
}

// Any taps, one position.
void qdepthwise_any(const QDepthwiseWeights& w, int64_t vector, const ptrdiff_t* tap_offset, const LaneTile& tile,
                    int p, const QuantizedOutput& out) {
  const int quads = (w.taps + 3) / 4;
  const uint32_t* weight = w.weights + vector * quads * 4;
  const float* x = tile.x[p] + vector * kLanes;
  QuarterSums acc;
  start_quarters(acc, out.bias + 4 * vector);
  for (int t = 0; t < w.taps; t += 4, weight += 4) {
    Bytes tap[4], taps[4];
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) tap[j] = load_bytes(x + tap_offset[t + j < w.taps ? t + j : t]);
    interleave(tap[0], tap[1], tap[2], tap[3], taps);
    depthwise_quarter(acc, taps, factor_of(set_quarter(weight)));
  }
  finish_quarters(acc, vector, w.channels, out, tile, p);
}

// Kernel rows of three taps `step` apart, at positions p and p + 1, also `step` apart.
void qdepthwise_pair(const QDepthwiseWeights& w, int64_t vector, const ptrdiff_t* tap_offset, ptrdiff_t step,
                     const LaneTile& tile, int p, const QuantizedOutput& out) {
  const int kernel_rows = w.taps / 3;
  const uint32_t* weight = w.row_weights + vector * kernel_rows * 4;
  QuarterSums left, right;
  start_quarters(left, out.bias + 4 * vector);
  start_quarters(right, out.bias + 4 * vector);
  for (int r = 0; r < kernel_rows; ++r, weight += 4) {
    const float* x = tile.x[p] + vector * kLanes + tap_offset[3 * r];
    Bytes taps[4];
    interleave(load_bytes(x), load_bytes(x + step), load_bytes(x + 2 * step), load_bytes(x + 3 * step), taps);
    const Bytes factor = set_quarter(weight);
    depthwise_quarter(left, taps, factor_of(factor));
    depthwise_quarter(right, taps, factor_of(shift_lanes_left_8(factor)));
  }
  finish_quarters(left, vector, w.channels, out, tile, p);
  finish_quarters(right, vector, w.channels, out, tile, p + 1);
}

// True if kernel rows are three taps, `step` apart.
SPARSECPU_INLINE bool rows_of_three(const QDepthwiseWeights& w, const ptrdiff_t* tap_offset, ptrdiff_t step) {
  if (!w.row_weights) return false;
  for (int t = 0; t < w.taps; ++t) {
    if (t % 3 != 0 && tap_offset[t] - tap_offset[t - 1] != step) return false;
  }
  return true;
}

void qdepthwise(const QDepthwiseWeights& w, int64_t vector_begin, int64_t vector_end, const ptrdiff_t* tap_offset,
                const LaneTile& tile, const QuantizedOutput& out) {
  const ptrdiff_t step = w.taps > 1 ? tap_offset[1] - tap_offset[0] : 0;
  const bool in_rows = rows_of_three(w, tap_offset, step);
  for (int p = 0; p < tile.positions;) {
    if (in_rows && p + 1 < tile.positions && tile.x[p + 1] - tile.x[p] == step) {
      for (int64_t v = vector_begin; v < vector_end; ++v) qdepthwise_pair(w, v, tap_offset, step, tile, p, out);
      p += 2;
    } else {
      for (int64_t v = vector_begin; v < vector_end; ++v) qdepthwise_any(w, v, tap_offset, tile, p, out);
      ++p;
    }
  }
  const int64_t row_end = 4 * vector_end < w.channels ? 4 * vector_end : w.channels;
  for (int p = 0; p < tile.positions; ++p) look_up_rows(out, 4 * vector_begin, row_end, tile.y[p]);
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
