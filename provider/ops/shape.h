// What joins, cuts and renames axes.
#pragma once
#include <vector>

#include "ops/facts.h"

namespace sparsecpu {

struct Concat {  // along the channel axis. inputs: {x0, x1, ...}
  Axes axes = Axes::kImage;

  static const char* op_name() { return "concat"; }
  const char* kernel() const { return "concat"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const;
  ElementType result_type(ElementType input) const { return input; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return axes; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return axes == Axes::kImage; }
  bool fuses() const { return false; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kPass; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }
};

// A range of x's channels, step 1. One Op per output. What it is depends on how many channels x has in a run.
struct Split {
  Axes axes = Axes::kImage;
  int64_t begin = 0, end = 0;   // as Slice has them: negative ones count from the end, and none lies beyond it
  int64_t part = 0, parts = 0;  // with parts, instead: this one of so many equal ones, the last of which may be smaller

  static const char* op_name() { return "split"; }
  const char* kernel() const { return "split"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const;
  ElementType result_type(ElementType input) const { return input; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return axes; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return axes == Axes::kImage; }
  bool fuses() const { return false; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kPass; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }
};
struct ChannelRange {
  int64_t begin = 0, end = 0;
};
ChannelRange channel_range(const Split& split, int64_t channels);

// Reshape, Flatten, Squeeze, Unsqueeze: same elements in row-major order. inputs: {x}
struct Reshape {
  enum class Kind { kTarget, kFlatten, kSqueeze, kUnsqueeze } kind = Kind::kTarget;
  std::vector<int64_t> target;  // kTarget: ONNX Reshape's shape; kSqueeze, kUnsqueeze: axes
  bool allow_zero = false;      // kTarget
  int64_t axis = 1;             // kFlatten

  static const char* op_name() { return "reshape"; }
  const char* kernel() const { return "relabel"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const;
  ElementType result_type(ElementType input) const { return input; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return std::nullopt; }
  bool keeps_axes() const { return false; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return false; }
  bool fuses() const { return false; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kRename; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }
};

// The rows of one token: x [b, s, c] -> [b, c]; index -1 is the last one. inputs: {x}.
struct SelectToken {
  int64_t index = 0;

  static const char* op_name() { return "select_token"; }
  const char* kernel() const { return "select token"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const;
  ElementType result_type(ElementType input) const { return input; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return Axes::kTokens; }
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

}  // namespace sparsecpu
