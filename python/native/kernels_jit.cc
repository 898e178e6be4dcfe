// Bindings of generated code and its packing, for tests. Sizes are not checked.
#include <pybind11/stl.h>

#include <tuple>
#include <vector>

#include "kernels_layer.h"
#include "pack/jit.h"

namespace py = pybind11;
using namespace sparsecpu;

namespace {

// A layer in memory of its own.
struct Jit : PackedJit {
  CodeMemory memory;
};

Jit make(const Layer& layer, int64_t dilation_w, int64_t position_vectors, std::tuple<float, float> limits) {
  py::gil_scoped_release release;
  Jit jit{pack_jit(layer.view, dilation_w, position_vectors, {std::get<0>(limits), std::get<1>(limits)}), {}};
  place_code({&jit}, &jit.memory);
  return jit;
}

// Blocks [begin, end), every segment for all positions before the next, as JitStep does.
void run(const Jit& packed, size_t begin, size_t end, const std::vector<ptrdiff_t>& row_base, const Positions& x,
         Positions y, const std::optional<Positions>& residual, bool part_by_part) {
  packed.visit_segments(begin, end, part_by_part, [&](size_t s, size_t) {
    const JitSegment& segment = packed.segments[s];
    const int64_t row = segment.first_row * kLanes;
    for (size_t p = 0; p < x.at.size(); ++p) {
      const float* addend = residual ? residual->buffer.data() + residual->at[p] + row : nullptr;
      segment.run(x.buffer.data() + x.at[p], y.buffer.mutable_data() + y.at[p] + row, addend, row_base.data(), nullptr,
                  nullptr);
    }
  });
}

int64_t code_bytes(const Jit& packed) {
  int64_t bytes = 0;
  for (const JitSegment& segment : packed.segments) bytes += static_cast<int64_t>(segment.bytes);
  return bytes;
}

}  // namespace

void bind_jit_kernels(py::module_& module) {
  module.attr("JIT_ROWS") = kJitRows;
  module.def(
      "jit_available", [](const std::string& isa) { return jit_available(isa_of(level_named(isa)), /*bytes=*/false); },
      py::arg("isa"));
  py::class_<Jit>(module, "Jit")
      .def(py::init(&make), py::arg("layer"), py::arg("dilation_w"), py::arg("position_vectors"), py::arg("clamp"))
      .def_property_readonly("blocks", &Jit::blocks)
      .def_property_readonly("segments", [](const Jit& packed) { return packed.segments.size(); })
      .def_readonly("nonzeros", &Jit::nonzeros)
      .def_property_readonly("code_bytes", &code_bytes, "Of all segments: instructions and weights.")
      .def_property_readonly("memory_bytes", [](const Jit& packed) { return packed.memory.bytes(); })
      .def_property_readonly("starts",
                             [](const Jit& packed) {
                               std::vector<uintptr_t> starts;
                               for (const JitSegment& s : packed.segments) {
                                 starts.push_back(reinterpret_cast<uintptr_t>(s.run));
                               }
                               return starts;
                             })
      .def("run", &run, py::arg("begin"), py::arg("end"), py::arg("row_base"), py::arg("x"), py::arg("y"),
           py::arg("residual"), py::arg("part_by_part") = false, "Computes blocks [begin, end) at all positions.");
}
