// What moves pixels: Pad and Resize.
#pragma once
#include <array>
#include <vector>

#include "ops/facts.h"

namespace sparsecpu {

struct Pad {                                // h and w only, constant value. inputs: {x}, image axes
  std::array<int64_t, 4> pads{0, 0, 0, 0};  // top, left, bottom, right; negative crops
  float value = 0;                          // on bytes: the byte, as a number of the tensor's type

  static const char* op_name() { return "pad"; }
  const char* kernel() const { return "relayout"; }
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

// Nearest-neighbour resize of h and w, with the pixels that ONNX Runtime takes (resize.cc). inputs: {x}, image axes
struct Resize {
  std::array<float, 2> scale{1, 1};
  std::array<int64_t, 2> sizes{0, 0};  // instead of the scale, if > 0
  enum class Coordinate {
    kHalfPixel,
    kPytorchHalfPixel,
    kAlignCorners,
    kAsymmetric
  } coordinate = Coordinate::kHalfPixel;
  enum class Nearest { kRoundPreferFloor, kRoundPreferCeil, kFloor, kCeil } nearest = Nearest::kRoundPreferFloor;
  bool wide_ties = true;  // what is within 1e-6 of a tie is one: from ONNX Runtime 1.28 on

  static const char* op_name() { return "resize"; }
  const char* kernel() const { return "relayout"; }
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

// Throws Error where it does not fit int64.
ImageSize resized(const Resize& resize, const ImageSize& from);
// The source row of every output row, and the source column of every output column.
std::array<std::vector<int64_t>, 2> resize_sources(const Resize& resize, const ImageSize& from);

}  // namespace sparsecpu
