// Constant weights as a strided view, whatever the ONNX node stored them as.
#pragma once
#include <cstdint>

namespace sparsecpu {

// Constant float weights w(row, channel, tap), row = output channel, channel = input channel within the
// group, tap = kernel row * kernel width + kernel column. A view: valid while the graph is.
struct WeightView {
  const float* data = nullptr;  // may be unaligned to 64 bytes, is aligned to 4
  int64_t rows = 0, channels = 0, taps = 1;
  int64_t row_stride = 0, channel_stride = 0, tap_stride = 1;  // elements
  float scale = 1.0f;                                          // Gemm's alpha

  float at(int64_t row, int64_t channel, int64_t tap) const {
    return data[row * row_stride + channel * channel_stride + tap * tap_stride] * scale;
  }
};

}  // namespace sparsecpu
