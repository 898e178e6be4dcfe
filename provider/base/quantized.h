// Quantized tensors: real value = scale * (q - zero_point). Shared by recognise/ (which reads them from a model) and
// pack/, kernels/ (which compute with them). Included by files compiled for an instruction-set level: no STL in it.
#pragma once
#include <cstdint>

namespace sparsecpu {

// Of a tensor of u8 or s8 with one scale and zero point.
struct Quantization {
  float scale = 1.0f;
  int32_t zero_point = 0;
  bool is_signed = false;

  int32_t lowest() const { return is_signed ? -128 : 0; }
  int32_t highest() const { return is_signed ? 127 : 255; }
  // Kernels see signed tensors as x + 128.
  int32_t stored_zero_point() const { return is_signed ? zero_point + 128 : zero_point; }
};

constexpr bool fits_byte(int32_t q) { return q >= -128 && q <= 127; }
// A weight that is no int8 is low_part(q), an int8, and the rest, another, from -255 to this.
constexpr int32_t kWidestWeight = 254;
constexpr int32_t low_part(int32_t q) { return fits_byte(q) ? q : q >> 1; }

// Constant 8-bit weights w(row, channel, tap), axes as in WeightView. A view: valid while the graph is.
struct QuantizedWeightView {
  const void* data = nullptr;  // u8 or s8
  bool is_signed = true;
  int64_t rows = 0, channels = 0, taps = 1;
  int64_t row_stride = 0, channel_stride = 0, tap_stride = 1;  // elements
  const void* zero_points = nullptr;                           // same type as data; nullptr: 0
  int64_t zero_point_stride = 0;                               // 0: one for all, 1: one a row
  bool wide = false;                                           // some of at() are no int8

  // The integer that counts: q - zero point. Recognition makes sure that it fits int8 or, wide, is the sum of two.
  int32_t at(int64_t row, int64_t channel, int64_t tap) const {
    return read(data, row * row_stride + channel * channel_stride + tap * tap_stride) - zero_point(row);
  }
  int32_t zero_point(int64_t row) const { return zero_points ? read(zero_points, row * zero_point_stride) : 0; }

 private:
  int32_t read(const void* from, int64_t i) const {
    return is_signed ? static_cast<const int8_t*>(from)[i] : static_cast<const uint8_t*>(from)[i];
  }
};

}  // namespace sparsecpu
