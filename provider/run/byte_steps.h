// Steps on tensors of bytes: (de)quantization, elementwise functions.
#pragma once
#include <array>

#include "base/quantized.h"
#include "kernels/quantized.h"
#include "run/pointwise_steps.h"

namespace sparsecpu {

using ByteTable = std::array<uint8_t, 256>;

// Lanes: float vectors <-> byte vectors.
class LaneQuantizeStep final : public LanePositionStep {
 public:
  QuantizeParameters parameters;
  bool dequantize = false;
  int64_t channels = 0;

 private:
  void compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept override;
};

class LaneLookupStep final : public LanePositionStep {
 public:
  ByteTable table{};

 private:
  void compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept override;
};

class LaneByteBinaryStep final : public LanePositionStep {
 public:
  QuantizedBinary function;
  bool multiply = false;
  Walk second;
  std::optional<ByteTable> table;  // applied to the result

 private:
  void compute(const float* in, float* out, PositionRange::At at, const Frame& frame) const noexcept override;
};

// Channels of one byte tensor into another's where they do not fill whole vectors.
class LaneByteCopyStep final : public LanePositionStep {
 public:
  int64_t x_first = 0, y_first = 0, channels = 0;

 private:
  void compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept override;
};

// Row-major tensors of `count` elements.
class FlatByteStep final : public Step {
 public:
  enum class Kind { kCopy, kQuantize, kDequantize, kLookup } what = Kind::kCopy;
  const KernelTable* kernels = nullptr;
  int64_t count = 0;
  TensorRef x, y;
  QuantizeParameters parameters;
  uint8_t sign = 0;
  ByteTable table{};

  void run(int chunk, const Frame& frame) const noexcept override;
};

// DynamicQuantizeLinear in two steps: partial minima and maxima, then scale, zero point and bytes.
class MinMaxStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  int64_t count = 0;
  TensorRef x, partial;  // partial: 2 floats a chunk
  void run(int chunk, const Frame& frame) const noexcept override;
};
class DynamicQuantizeStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  int64_t count = 0;
  int partials = 0;
  TensorRef x, partial, y, quantization;  // quantization: scale, zero point
  void run(int chunk, const Frame& frame) const noexcept override;
};

// A layer's multipliers and bias for this run's scale and zero point of its input.
class DynamicScaleStep final : public Step {
 public:
  const float* multiplier = nullptr;
  const int32_t* bias = nullptr;
  const int32_t* row_sum = nullptr;
  int64_t rows = 0;  // padded
  TensorRef quantization, run_multiplier, run_bias;
  void run(int chunk, const Frame& frame) const noexcept override;
};

}  // namespace sparsecpu
