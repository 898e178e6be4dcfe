// What the bindings of single kernels share.
#pragma once
#include <pybind11/numpy.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <tuple>
#include <vector>

#include "pack/levels.h"

// Contiguous float32 arrays are used in place; any other would be converted, and what is written to it lost.
using FloatArray = pybind11::array_t<float, pybind11::array::c_style>;

// Of packed weights with a list of chunk origins: (kernel row, kernel column, channel) of each.
template <class Packed>
std::vector<std::tuple<int64_t, int64_t, int64_t>> origins_of(const Packed& packed) {
  std::vector<std::tuple<int64_t, int64_t, int64_t>> origins;
  for (const auto& o : packed.origins) origins.emplace_back(o.kernel_row, o.kernel_column, o.channel);
  return origins;
}

// One pointer a row of x: (taps, count).
inline std::vector<const float*> tap_pointers(const FloatArray& x) {
  std::vector<const float*> taps;
  for (pybind11::ssize_t t = 0; t < x.shape(0); ++t) taps.push_back(x.data(t, 0));
  return taps;
}

// Seconds of the fastest of `repeats` calls.
template <class F>
double fastest(int repeats, const F& fn) {
  double best = 1e300;
  for (int round = 0; round < repeats; ++round) {
    const auto start = std::chrono::steady_clock::now();
    fn();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::min(best, elapsed.count());
  }
  return best;
}

const sparsecpu::Level& level_named(const std::string& isa);  // throws for an unknown one
const sparsecpu::KernelTable& table_of(const std::string& isa);
void bind_layout(pybind11::module_& module);             // layout.cc
void bind_quantized_kernels(pybind11::module_& module);  // kernels_quantized.cc
