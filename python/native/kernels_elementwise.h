// What the bindings of single kernels share.
#pragma once
#include <pybind11/numpy.h>

#include <string>
#include <tuple>
#include <vector>

#include "kernels/registry.h"

// Contiguous float32 arrays are used in place; any other would be converted, and what is written to it lost.
using FloatArray = pybind11::array_t<float, pybind11::array::c_style>;

// Of packed weights with a list of chunk origins: (kernel row, kernel column, channel) of each.
template <class Packed>
std::vector<std::tuple<int64_t, int64_t, int64_t>> origins_of(const Packed& packed) {
  std::vector<std::tuple<int64_t, int64_t, int64_t>> origins;
  for (const auto& o : packed.origins) origins.emplace_back(o.kernel_row, o.kernel_column, o.channel);
  return origins;
}

const sparsecpu::KernelTable& table_of(const std::string& isa);  // throws for an unknown level
void bind_layout(pybind11::module_& module);                     // layout.cc
void bind_quantized_kernels(pybind11::module_& module);          // kernels_quantized.cc
