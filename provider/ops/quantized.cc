#include "ops/quantized.h"

#include <algorithm>

namespace sparsecpu {

std::optional<Axes> axes_of(const std::optional<ChannelBytes>& constant) {
  return constant && constant->values.size() > 1 ? std::optional(constant->axes) : std::nullopt;
}

Shape shape_beside(const std::optional<ChannelBytes>& constant, const Shapes& inputs) {
  if (!constant) return common_shape(inputs);
  const auto values = static_cast<int64_t>(constant->values.size());
  if (values > 1) expect_channels(inputs[0], channel_axis(constant->axes, inputs[0]), values);
  return inputs[0];
}

// onnxruntime looks for that run from the last axis on, among the axes that both have (of a scalar: the last one of the
// other's), and skips those of one element.
std::optional<bool> exchanges_operands(const Shape& a, const Shape& b) {
  const size_t common = std::max<size_t>(1, std::min(a.size(), b.size()));
  const auto size_of = [](const Shape& shape, size_t from_end) {
    return from_end <= shape.size() ? shape[shape.size() - from_end] : 1;
  };
  for (size_t i = 1; i <= common; ++i) {
    const int64_t in_a = size_of(a, i), in_b = size_of(b, i);
    if (in_a > 1) return false;
    if (in_a < 0) return std::nullopt;
    if (in_b > 1) return true;
    if (in_b < 0) return std::nullopt;
  }
  return true;
}

}  // namespace sparsecpu
