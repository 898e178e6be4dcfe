// The extension module onnxruntime_ep_sparsecpu._native.
#include <pybind11/stl.h>

#include "base/cpu.h"
#include "bindings.h"

namespace {

std::vector<std::string> isa_names() {
  std::vector<std::string> names;
  for (sparsecpu::Isa isa : sparsecpu::available_isas()) names.emplace_back(sparsecpu::isa_name(isa));
  return names;
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  module.doc() = "What the plugin library knows: instruction-set levels, reports, and kernels for tests.";
  module.def("available_isas", &isa_names, "Levels this process may use, ascending.");
  pybind11::module_ kernels = module.def_submodule("kernels", "The kernels, as the tests call them.");
  bind_kernels(kernels);
}
