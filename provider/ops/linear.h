// Layers with constant weights.
#pragma once
#include <vector>

#include "base/quantized.h"
#include "base/weight_view.h"
#include "ops/facts.h"

namespace sparsecpu {

// A layer of floats or of bytes, or its shape.
template <class Layer>
bool is_depthwise(const Layer& layer) {
  return layer.groups > 1 && layer.groups == layer.in_channels && layer.groups == layer.out_channels;
}

// What follows from the geometry alone. Throws Error.
Shape output_of(const LinearShape& layer, const Shape& x);
std::optional<NeededChannels> channels_of(const LinearShape& layer);

// Conv, or MatMul/Gemm as a 1x1 convolution over tokens. inputs: {x}.
struct Linear {
  Axes axes = Axes::kImage;
  int64_t in_channels = 0, out_channels = 0, groups = 1;
  Window window;
  WeightView weight;
  std::vector<float> bias;        // out_channels, or empty
  bool transposed_input = false;  // Gemm transA: x is [c, tokens]
  OfVector of_vector = OfVector::kRefused;
  // A Gemm between Reshapes, the second of which takes a 0 in its target for a size of the product, [tokens, c].
  bool zeros_copy = false;

  static const char* op_name() { return "linear"; }
  const char* kernel() const { return "linear"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const;
  ElementType result_type(ElementType) const { return ElementType::kFloat; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return axes; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return channels_of(*layer()); }
  bool keeps_images_apart() const { return axes == Axes::kImage; }
  bool fuses() const { return false; }
  bool takes_activation() const { return true; }
  Work work() const { return Work::kLayer; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const;
  std::optional<LinearShape> layer() const;
};

// sum[row] = sum of (w - w_zp) * (x - x_zp) + bias[row], exact in int32; borders are x_zp. Then
//   kBytes: y = RNE(min(max(float(sum) * multiplier[row], lowest - y_zp), highest - y_zp)) + y_zp,
//           then limited to [clamp_low, clamp_high]
//   kFloat: y = float(sum) * multiplier[row], then + float_bias[row] if there is one (no fma)
// With dynamic_input, multiplier[row] is the weights' scale, and x_scale * multiplier[row] (float32) is used.
// All float steps as quantized.h says. inputs: {x bytes}.
struct QuantizedLinear {
  Axes axes = Axes::kImage;
  int64_t in_channels = 0, out_channels = 0, groups = 1;
  Window window;
  QuantizedWeightView weight;
  bool transposed_input = false;  // QGemm transA: x is [c, tokens]
  OfVector of_vector = OfVector::kRefused;
  Quantization x;  // with dynamic_input: only is_signed counts
  bool dynamic_input = false;
  std::vector<int32_t> bias;      // out_channels, or empty
  std::vector<float> multiplier;  // out_channels
  enum class Output { kBytes, kFloat } output = Output::kBytes;
  Quantization y;                              // kBytes
  int32_t clamp_low = -128, clamp_high = 255;  // kBytes: on y, zero point included; of a Relu or Clip
  std::vector<float> float_bias;               // kFloat: out_channels, or empty

  static const char* op_name() { return "quantized_linear"; }
  const char* kernel() const { return "linear int8"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const { return output_of(*layer(), inputs[0]); }
  ElementType result_type(ElementType) const {
    return output == Output::kFloat ? ElementType::kFloat : byte_type(y.is_signed);
  }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return axes; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return channels_of(*layer()); }
  bool keeps_images_apart() const { return axes == Axes::kImage && !dynamic_input; }
  bool fuses() const { return false; }
  bool takes_activation() const { return output != Output::kBytes; }
  Work work() const { return Work::kLayer; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const;
  std::optional<LinearShape> layer() const;
};

}  // namespace sparsecpu
