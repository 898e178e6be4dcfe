// Bytes: how they come from floats and become floats again, and functions of them. All float steps in float32, in the
// order written, rounding after each; RNE is round to nearest even. What ONNX Runtime's CPU provider computes, bit for
// bit, unless the pattern's name says otherwise.
#pragma once
#include <array>
#include <vector>

#include "base/quantized.h"
#include "ops/facts.h"

namespace sparsecpu {

// y = clamp(RNE(x / y.scale) + zero point): a true divide. inputs: {x float}; output bytes.
struct Quantize {
  Quantization y;

  static const char* op_name() { return "quantize"; }
  const char* kernel() const { return "quantize"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const { return inputs[0]; }
  ElementType result_type(ElementType) const { return byte_type(y.is_signed); }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return std::nullopt; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return true; }
  bool fuses() const { return true; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kPass; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }
};

// float(q - zero point) * scale. inputs: {x bytes}; output float.
struct Dequantize {
  Quantization x;

  static const char* op_name() { return "dequantize"; }
  const char* kernel() const { return "dequantize"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const { return inputs[0]; }
  ElementType result_type(ElementType) const { return ElementType::kFloat; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return std::nullopt; }
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

// DynamicQuantizeLinear: x -> u8 with the scale and zero point of this run's x, over the whole tensor. They
// travel with the output, which only a QuantizedLinear with dynamic_input reads. inputs: {x float}.
struct DynamicQuantize {
  static const char* op_name() { return "dynamic_quantize"; }
  const char* kernel() const { return "dynamic quantize"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const { return inputs[0]; }
  ElementType result_type(ElementType) const { return ElementType::kUint8; }
  bool scale_travels() const { return true; }
  std::optional<Axes> own_axes() const { return std::nullopt; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return false; }
  bool fuses() const { return false; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kPass; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }
};

// y = table[x as an unsigned byte]: any function of one byte (activations, a change of scale, Add or Mul with
// a constant number). inputs: {x bytes}.
struct Lookup {
  std::array<uint8_t, 256> table{};
  bool output_signed = false;

  static const char* op_name() { return "lookup"; }
  const char* kernel() const { return "lookup"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const { return inputs[0]; }
  ElementType result_type(ElementType) const { return byte_type(output_signed); }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return std::nullopt; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return true; }
  bool fuses() const { return true; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kPass; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }
};

// The constant operand of an op of two: as stored in the model, one byte a channel, or one for all.
struct ChannelBytes {
  std::vector<uint8_t> values;
  std::vector<int64_t> dims;  // the constant's shape
  Axes axes = Axes::kImage;   // with several values
  bool first = false;         // the operand that the op's comment calls a, else b
};
std::optional<Axes> axes_of(const std::optional<ChannelBytes>& constant);
// Of an op of the first input and the constant, or of two inputs. Throws Error.
Shape shape_beside(const std::optional<ChannelBytes>& constant, const Shapes& inputs);

// With ra = a.scale / y.scale, rb = b.scale / y.scale, fix = float(y_zp) - fma(ra, a_zp, rb * b_zp):
// y = saturate(RNE(fma(a, ra, fma(b, rb, fix)))), then limited to [clamp_low, clamp_high].
// As in ONNX Runtime, a and b change places where exchanges_operands() says so.
// inputs: {a, b bytes}, shapes as Binary; with a constant, the other one alone.
struct QuantizedAdd {
  Quantization a, b, y;
  int32_t clamp_low = -128, clamp_high = 255;
  std::optional<ChannelBytes> constant;

  static const char* op_name() { return "quantized_add"; }
  const char* kernel() const { return "quantized add"; }
  size_t operands() const { return constant ? 1 : 2; }
  Shape shape(const Shapes& inputs) const { return shape_beside(constant, inputs); }
  ElementType result_type(ElementType) const { return byte_type(y.is_signed); }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return axes_of(constant); }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return true; }
  bool fuses() const { return true; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kPass; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }
};

// y = saturate(RNE(float((a - a_zp) * (b - b_zp)) * ((a.scale * b.scale) / y.scale) + float(y_zp))).
// inputs: as QuantizedAdd.
struct QuantizedMul {
  Quantization a, b, y;
  std::optional<ChannelBytes> constant;

  static const char* op_name() { return "quantized_mul"; }
  const char* kernel() const { return "quantized mul"; }
  size_t operands() const { return constant ? 1 : 2; }
  Shape shape(const Shapes& inputs) const { return shape_beside(constant, inputs); }
  ElementType result_type(ElementType) const { return byte_type(y.is_signed); }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return axes_of(constant); }
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

// Whether ONNX Runtime's QLinearAdd exchanges operands of these shapes: it does where the first one is a single number
// to each run of contiguous output elements, which also holds of two numbers. nullopt: it depends on a size that is -1.
std::optional<bool> exchanges_operands(const Shape& a, const Shape& b);

}  // namespace sparsecpu
