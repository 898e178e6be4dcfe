// The extension module onnxruntime_ep_sparsecpu._native.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings.h"
#include "pack/levels.h"
#include "plugin/options.h"
#include "plugin/report.h"

namespace py = pybind11;

namespace {

std::vector<std::string> available_names() {
  std::vector<std::string> names;
  for (sparsecpu::Isa isa : sparsecpu::available_isas()) names.emplace_back(sparsecpu::level_of(isa).name);
  return names;
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  module.doc() =
      "What the plugin library knows: instruction-set levels, reports, kernels for tests and check-hardware.";
  module.attr("__version__") = SPARSECPU_VERSION;
  module.attr("IDENTIFY_OPTION") = sparsecpu::kIdentifyOption;
  module.attr("MEASURE_OPTION") = sparsecpu::kMeasureOption;
  module.attr("KEEP_VALUES_OPTION") = sparsecpu::kKeepValuesOption;
  module.def("available_isas", &available_names, "Levels this process may use, ascending.");
  module.def(
      "provider_options",
      [] {
        py::list rows;
        for (const sparsecpu::OptionText& text : sparsecpu::option_texts()) {
          rows.append(py::make_tuple(text.name, text.values, text.meaning));
        }
        return rows;
      },
      "Name, values and meaning of each option, in Markdown.");
  // Bytes: names in a model need not be valid UTF-8.
  module.def(
      "take_report", [](const std::string& nonce) { return py::bytes(sparsecpu::take_report(nonce)); },
      py::arg("nonce"), "The report filed under a nonce as JSON, or b'' if there is none; forgets it.");
  module.def(
      "take_values",
      [](const std::string& nonce) {
        py::list values;
        for (const sparsecpu::KeptValue& value : sparsecpu::take_values(nonce)) {
          const auto* data = reinterpret_cast<const char*>(value.data.data());
          values.append(py::make_tuple(py::bytes(value.name), static_cast<int>(value.type), value.shape,
                                       py::bytes(data, value.data.size())));
        }
        return values;
      },
      py::arg("nonce"), "What the kernels of the session made whose report is filed under a nonce; forgets the nonce.");
  py::module_ kernels = module.def_submodule("kernels", "The kernels, as the tests call them.");
  bind_kernels(kernels);
  py::module_ machine = module.def_submodule("machine", "What this machine has, and can do at best.");
  bind_machine(machine);
}
