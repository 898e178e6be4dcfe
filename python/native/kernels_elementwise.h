// What the bindings of single kernels share.
#pragma once
#include <pybind11/numpy.h>

#include <string>

#include "kernels/registry.h"

// Contiguous float32 arrays are used in place; any other would be converted, and what is written to it lost.
using FloatArray = pybind11::array_t<float, pybind11::array::c_style>;

const sparsecpu::KernelTable& table_of(const std::string& isa);  // throws for an unknown level
void bind_layout(pybind11::module_& module);                     // layout.cc
void bind_quantized_kernels(pybind11::module_& module);          // kernels_quantized.cc
