#include "ops/linear.h"

#include "base/error.h"

namespace sparsecpu {
namespace {

template <class Layer>
LinearShape geometry_of(const Layer& layer, int64_t weight_bytes) {
  return {layer.axes,   layer.in_channels,      layer.out_channels, layer.groups,   layer.weight.taps,
          layer.window, layer.transposed_input, weight_bytes,       layer.of_vector};
}

}  // namespace

Shape output_of(const LinearShape& layer, const Shape& x) {
  if (layer.axes == Axes::kImage) {
    expect_rank(x, 3, 4);
    expect_channels(x, 1, layer.in_channels);
    return windowed(x, layer.window, layer.out_channels);
  }
  if (layer.transposed_input) {
    expect_rank(x, 2, 2);
    expect_channels(x, 0, layer.in_channels);
    return {x[1], layer.out_channels};
  }
  if (x.size() == 1 && layer.of_vector == OfVector::kRefused) {
    throw Error("its input has shape " + dims_text(x) + "; at least rank 2 is expected");
  }
  expect_channels(x, channel_axis(Axes::kTokens, x), layer.in_channels);
  if (x.size() == 1 && layer.of_vector == OfVector::kMatrix) return {1, layer.out_channels};
  Shape result = x;
  result.back() = layer.out_channels;
  return result;
}

std::optional<NeededChannels> channels_of(const LinearShape& layer) {
  if (layer.transposed_input) return std::nullopt;
  return NeededChannels{layer.axes, layer.in_channels};
}

Shape Linear::shape(const Shapes& inputs) const {
  Shape y = output_of(*layer(), inputs[0]);
  for (size_t i = 1; zeros_copy && i < y.size(); ++i) {
    if (y[i] != 0) continue;
    if (i > 1) throw Error("a 0 in its target takes size " + std::to_string(i) + " of a product with two axes");
    y[i] = out_channels;
  }
  return y;
}

std::optional<LinearShape> Linear::layer() const { return geometry_of(*this, sizeof(float)); }
std::optional<LinearShape> QuantizedLinear::layer() const { return geometry_of(*this, 1); }

std::optional<WindowUse> Linear::window_use() const {
  return axes == Axes::kImage ? std::optional(WindowUse{window, /*bytes=*/false, std::nullopt}) : std::nullopt;
}
std::optional<WindowUse> QuantizedLinear::window_use() const {
  return axes == Axes::kImage ? std::optional(WindowUse{window, /*bytes=*/true, std::nullopt}) : std::nullopt;
}

}  // namespace sparsecpu
