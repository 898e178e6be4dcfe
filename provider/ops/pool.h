// Pools over windows, and over the whole image.
#pragma once
#include "base/quantized.h"
#include "ops/facts.h"

namespace sparsecpu {

// Averages of bytes change the quantization; everything else that pools bytes keeps it.
struct AverageQuantization {
  Quantization x, y;
};

enum class PoolKind { kMax, kAverage };
// What an average divides by: the pixels of the image under the window, those of the padded image, or all taps.
enum class PoolDivisor { kPixels, kPaddedPixels, kTaps };
struct Pool {  // inputs: {x}, image axes
  PoolKind kind = PoolKind::kMax;
  Window window;
  PoolDivisor divisor = PoolDivisor::kPixels;
  // QLinearAveragePool: the float sum of x.scale * float(q - zero point) over the window's pixels row by row, divided
  // by their number; y = clamp(RNE(average / y.scale + float(y zero point)))
  std::optional<AverageQuantization> bytes;

  static const char* op_name() { return "pool"; }
  const char* kernel() const { return kind == PoolKind::kMax ? "max pool" : "average pool"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const;
  ElementType result_type(ElementType input) const { return input; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return Axes::kImage; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return true; }
  bool fuses() const { return false; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kWindow; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const;
  std::optional<LinearShape> layer() const { return std::nullopt; }
};

struct GlobalAverage {    // over h and w. inputs: {x}, image axes
  bool keep_dims = true;  // false: output is [n, c]
  // QLinearGlobalAveragePool: sum = exact int32 sum of (q - x.zero_point) over n pixels,
  // y = saturate(RNE(float(sum) * (x.scale / (y.scale * float(n)))) + y.zero_point)
  std::optional<AverageQuantization> bytes;

  static const char* op_name() { return "global_average"; }
  const char* kernel() const { return "global average"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const;
  ElementType result_type(ElementType input) const { return input; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return Axes::kImage; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return true; }
  bool fuses() const { return false; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kPass; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }
};

}  // namespace sparsecpu
