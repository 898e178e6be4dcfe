// Functions of one value, or of two.
#pragma once
#include <vector>

#include "base/elementwise.h"
#include "ops/facts.h"

namespace sparsecpu {

// Elementwise. inputs: {x}. a, b are the parameters named at UnaryKind.
struct Unary {
  UnaryKind kind = UnaryKind::kRelu;
  float a = 0, b = 0;

  static const char* op_name() { return "unary"; }
  const char* kernel() const { return "unary"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const { return inputs[0]; }
  ElementType result_type(ElementType input) const { return input; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return std::nullopt; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return true; }
  bool fuses() const { return true; }
  bool takes_activation() const { return false; }
  Work work() const {
    if (kind == UnaryKind::kSigmoid || kind == UnaryKind::kTanh) return Work::kQuotient;
    return is_transcendental(kind) ? Work::kFunction : Work::kPass;
  }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }
};

// Elementwise with two dynamic inputs {x, y} that broadcast to the output's shape. Claimed where they are taken to be
// equal, or one of them to have size 1 in h and w (image axes).
struct Binary {
  BinaryKind kind = BinaryKind::kAdd;

  static const char* op_name() { return "binary"; }
  const char* kernel() const { return "binary"; }
  size_t operands() const { return 2; }
  Shape shape(const Shapes& inputs) const { return common_shape(inputs); }
  ElementType result_type(ElementType input) const { return input; }
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

constexpr float kNoShift = -0.0f;  // added, it leaves zeros their sign

// y = x * scale[c] + shift[c]; vectors of length 1 (scalar) or the channel count. BatchNormalization,
// and Add/Sub/Mul/Div with a constant scalar or per-channel vector. inputs: {x}.
struct Affine {
  Axes axes = Axes::kImage;
  std::vector<float> scale, shift;

  static const char* op_name() { return "affine"; }
  const char* kernel() const { return "affine"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const;
  ElementType result_type(ElementType input) const { return input; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return channels() > 1 ? std::optional(axes) : std::nullopt; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return true; }
  bool fuses() const { return true; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kPass; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }

  // 1: one number for all.
  size_t channels() const { return scale.size() > shift.size() ? scale.size() : shift.size(); }
};

// y = x < 0 ? x * slope[c] : x; one slope a channel. inputs: {x}.
struct PRelu {
  Axes axes = Axes::kImage;
  std::vector<float> slope;

  static const char* op_name() { return "prelu"; }
  const char* kernel() const { return "prelu"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const;
  ElementType result_type(ElementType input) const { return input; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return axes; }
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

}  // namespace sparsecpu
