// Pooling of bytes over taps, and masked sums over positions.
#pragma once
#include "kernels/impl/qoutput.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

void qpool_max(const float* const* x, int taps, float* y, int64_t vectors) {
  for (int64_t at = 0; at < vectors * kVec; at += kVec) {
    Bytes best = load_bytes(x[0] + at);
    for (int t = 1; t < taps; ++t) best = max_bytes(best, load_bytes(x[t] + at));
    store_bytes(y + at, best);
  }
}

void qpool_average(const QuantizedAverage& args, const float* const* x, int taps, float* y, int64_t vectors) {
  const Vec x_scale = set1(args.x.scale), y_scale = set1(args.y.scale), count = loadu(args.lane_count);
  const Vec y_zero = set1(static_cast<float>(args.y.zero_point - args.sign)), most = highest(args.sign);
  const Ints x_zero = set_int(args.x.zero_point);
  for (int64_t at = 0; at < vectors * kVec; at += kVec) {
    Vec sum[4];
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) sum[j] = zero();
    for (int t = 0; t < taps; ++t) {
      const Bytes tap = load_bytes(x[t] + at);
      SPARSECPU_UNROLL
      for (int j = 0; j < 4; ++j) sum[j] = add(sum[j], mul(to_float(sub(byte_of(tap, j), x_zero)), x_scale));
    }
    Ints r[4];
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) r[j] = to_ints(min(add(div(div(sum[j], count), y_scale), y_zero), most));
    store_bytes(y + at, pack(r, args.sign));
  }
}

void qsum_positions(const float* x, const ptrdiff_t* offset, const uint16_t* mask, int64_t positions, int64_t begin,
                    int64_t end, int32_t* y) {
  for (int64_t vector = begin; vector < end; ++vector) {
    Ints sum[4];
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) sum[j] = set_int(0);
    for (int64_t p = 0; p < positions; ++p) {
      const Bytes bytes = load_bytes(x + offset[p] + vector * kVec);
      SPARSECPU_UNROLL
      for (int j = 0; j < 4; ++j) sum[j] = add(sum[j], keep_lanes(mask[p], byte_of(bytes, j)));
    }
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) store_ints(y + (4 * vector + j) * kLanes, sum[j]);
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
