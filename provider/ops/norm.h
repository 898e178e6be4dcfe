// Normalization with statistics of the values themselves.
#pragma once
#include <vector>

#include "ops/facts.h"

namespace sparsecpu {

// y = (x - mean) / sqrt(variance + epsilon) * scale[c] + shift[c], mean and (biased) variance over the channels, each
// token's own; not centred, RMSNorm: the mean counts as 0. inputs: {x}, token axes.
struct LayerNorm {
  float epsilon = 1e-5f;
  bool centred = true;
  std::vector<float> scale, shift;  // one a channel

  static const char* op_name() { return "layer_norm"; }
  const char* kernel() const { return "layer norm"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const {
    expect_channels(inputs[0], channel_axis(Axes::kTokens, inputs[0]), channels());
    return inputs[0];
  }
  ElementType result_type(ElementType input) const { return input; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return Axes::kTokens; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return NeededChannels{Axes::kTokens, channels()}; }
  bool keeps_images_apart() const { return false; }
  bool fuses() const { return false; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kNorm; }
  std::optional<Moves> moves() const { return Moves{{3, 0}, {4, 1}}; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }

  int64_t channels() const { return static_cast<int64_t>(scale.size()); }
};

// The same over the pixels and the channels of each of `groups` equal groups, each image's own. inputs: {x}, image
// axes.
struct GroupNorm {
  int64_t groups = 1;
  float epsilon = 1e-5f;
  std::vector<float> scale, shift;  // one a channel
  Moves::Side cpu;                  // what the CPU provider runs in its place: a kernel, or it written out

  static const char* op_name() { return "group_norm"; }
  const char* kernel() const { return "group norm"; }
  size_t operands() const { return 1; }
  Shape shape(const Shapes& inputs) const {
    expect_rank(inputs[0], 3, 4);
    expect_channels(inputs[0], channel_axis(Axes::kImage, inputs[0]), channels());
    return inputs[0];
  }
  ElementType result_type(ElementType input) const { return input; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return Axes::kImage; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return NeededChannels{Axes::kImage, channels()}; }
  bool keeps_images_apart() const { return true; }
  bool fuses() const { return false; }
  bool takes_activation() const { return true; }
  Work work() const { return Work::kNorm; }
  std::optional<Moves> moves() const { return Moves{{3, 2}, cpu}; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }

  int64_t channels() const { return static_cast<int64_t>(scale.size()); }
  // A value a group becomes one a channel.
  void repeat_vectors(int64_t channels) {
    for (std::vector<float>* vector : {&scale, &shift}) {
      std::vector<float> repeated;
      const auto each = static_cast<size_t>(channels) / vector->size();
      for (float value : *vector) repeated.insert(repeated.end(), each, value);
      *vector = std::move(repeated);
    }
  }
};

}  // namespace sparsecpu
