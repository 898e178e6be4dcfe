// Layers and outputs of the INT8 kernels, as their bindings take them.
#pragma once
#include <pybind11/numpy.h>

#include <array>
#include <optional>
#include <tuple>
#include <vector>

#include "kernels_elementwise.h"
#include "pack/quantized.h"

using ByteArray = pybind11::array_t<uint8_t, pybind11::array::c_style>;
using StridedBytes = pybind11::array_t<uint8_t>;
using IntArray = pybind11::array_t<int32_t, pybind11::array::c_style>;
using Distances = std::vector<ptrdiff_t>;

namespace quantized {

// Keeps the arrays alive that the layer points into.
struct Layer {
  StridedBytes weight;  // (rows, channels, taps), s8 as bytes where is_signed
  std::optional<ByteArray> zero_points;
  std::optional<IntArray> bias;
  std::optional<FloatArray> multiplier;
  sparsecpu::QuantizedLayer view;
};

// Arrays that a QuantizedOutput points into.
struct Output {
  sparsecpu::QuantizedOutput::Form form;
  int zero_point;
  std::optional<FloatArray> float_bias;
  std::array<float, 2> clamp;
  std::optional<std::tuple<float, float, float, uint8_t>> sum;
  bool residual_is_a;
  std::optional<ByteArray> lookup;
};

void bind_jit(pybind11::module_& module);  // kernels_quantized_jit.cc

}  // namespace quantized
