// Weights and lane-blocked arrays, as the bindings of the linear kernels take them.
#pragma once
#include <pybind11/numpy.h>

#include <optional>
#include <vector>

#include "kernels_elementwise.h"
#include "pack/pack.h"

using StridedFloats = pybind11::array_t<float>;  // any strides
using Distances = std::vector<ptrdiff_t>;

// The weights of a layer; keeps the arrays alive that the view points into.
struct Layer {
  StridedFloats weight;  // (rows, channels, taps)
  std::optional<FloatArray> bias, row_scale, row_shift;
  sparsecpu::LayerWeights view;
};

// A lane-blocked buffer and, for each position, where in it the position starts, in floats.
struct Positions {
  FloatArray buffer;
  Distances at;
};
