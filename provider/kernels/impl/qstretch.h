// From a quantized layer's bytes through floats to the next layer's bytes, in one pass over blocks of channels whose
// floats stay in the L1 cache. Each operation has a loop of its own: all in one would run out of registers.
#pragma once
#include "kernels/impl/qelementwise.h"
#include "kernels/impl/unary.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

constexpr int64_t kStretchChannels = 32;

// Channels [c, c + count), c a multiple of 4, to y.
SPARSECPU_INLINE void stretch_to_floats(const FloatStretch& s, const float* x, const float* residual, float* y,
                                        int64_t c, int64_t count) {
  const Vec scale = set1(s.x.scale);
  const Ints zero = set_int(s.x.zero_point);
  for (int64_t i = 0; i < count; i += 4) {
    const Bytes bytes = load_bytes(x + (c + i) / 4 * kVec);
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) {
      if (i + j >= count) break;
      const int64_t channel = c + i + j;
      Vec v = mul(to_float(sub(byte_of(bytes, j), zero)), scale);
      if (s.scale) v = fma(v, set1(s.scale[channel]), set1(s.shift[channel]));
      if (residual) v = add(v, load(residual + channel * kVec));
      store(y + (i + j) * kVec, v);
    }
  }
}

void float_stretch(const FloatStretch& s, const float* x, const float* residual, float* y, int64_t begin, int64_t end) {
  alignas(64) float block[kStretchChannels * kVec];
  for (int64_t c = begin; c < end; c += kStretchChannels) {
    const int64_t count = end - c < kStretchChannels ? end - c : kStretchChannels;
    float* floats = s.quantizes ? block : y + c * kVec;
    stretch_to_floats(s, x, residual, floats, c, count);
    if (s.activates) unary(s.kind, s.a, s.b, floats, floats, count * kVec);
    if (s.quantizes) quantize_lanes(s.y, floats, y + c / 4 * kVec, count);
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
