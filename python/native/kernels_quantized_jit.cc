// Bindings of generated INT8 code, run as a Program runs it: by its step.
#include <pybind11/stl.h>

#include "kernels_quantized.h"
#include "run/quantized_steps.h"

namespace py = pybind11;
using namespace sparsecpu;

namespace quantized {
namespace {

// Output positions rows x columns; the input's first tap of each moves by row_step and column_step floats.
struct Grid {
  int64_t rows, columns, row_step, column_step;
};

// A layer in memory of its own.
struct QJit : PackedQJit {
  CodeMemory memory;
};

QJit make(const Layer& layer, int64_t dilation_w, int64_t position_vectors, JitFinishForm::Kind kind, bool lookup) {
  QJit jit{pack_qjit(layer.view, dilation_w, position_vectors, {kind, lookup}), {}};
  place_code({&jit.code}, &jit.memory);
  return jit;
}

QuantizedFinish finish_of(const Output& args, const PackedQJit& packed) {
  QuantizedFinish finish;
  finish.output.form = args.form;
  finish.output.bias = packed.rows.bias.data();
  finish.output.multiplier = packed.rows.multiplier.data();
  finish.output.zero_point = args.zero_point;
  if (args.float_bias) finish.output.float_bias = args.float_bias->data();
  finish.output.clamp = {args.clamp[0], args.clamp[1]};
  finish.output.residual_is_a = args.residual_is_a;
  if (args.sum) finish.sum = std::make_from_tuple<QuantizedSum>(*args.sum);
  if (args.lookup) std::copy_n(args.lookup->data(), 256, finish.table.emplace().begin());
  return finish;
}

// y and residual: position after position, without gaps. Returns seconds of the fastest repetition.
double run(const QJit& packed, const std::vector<ptrdiff_t>& row_base, const Grid& grid, FloatArray x, FloatArray y,
           std::optional<FloatArray> residual, const Output& output, int64_t rows, int tile, std::array<int, 2> cuts,
           int repeats) {
  const int64_t vectors = output.form == QuantizedOutput::Form::kBytes ? (rows + 3) / 4 : rows;
  const Walk walk{{1, 0}, 0, grid.columns * vectors * kLanes, vectors * kLanes};
  QJitStep step;
  step.kernels = levels().back().kernels;
  step.code = &packed.code;
  step.packed = &packed;
  step.positions = {1, grid.rows, grid.columns};
  step.x = {{0, 0}, 0, grid.row_step, grid.column_step};
  step.y = walk;
  std::vector<float*> buffers{x.mutable_data(), y.mutable_data()};
  if (residual) {
    step.residual = walk;
    step.residual->ref.buffer = 2;
    buffers.push_back(residual->mutable_data());
  }
  const Frame frame(buffers);
  step.row_base = row_base;
  step.tile = std::min(tile, QJitStep::kMaxTile);
  step.rows = rows;
  step.position_chunks = cuts[0];
  step.unit_chunks = cuts[1];
  step.chunks = cuts[0] * cuts[1];
  step.finish_with = finish_of(output, packed);
  step.finishes = packed.form != JitFinishForm();
  return fastest(repeats, [&] {
    for (int chunk = 0; chunk < step.chunks; ++chunk) step.run(chunk, frame);
  });
}

}  // namespace

void bind_jit(py::module_& module) {
  module.def("jit_looks_up", &jit_looks_up);
  module.def("jit_available",
             [](const std::string& isa) { return jit_available(isa_of(level_named(isa)), /*bytes=*/true); });
  py::enum_<JitFinishForm::Kind>(module, "JitFinish")
      .value("sums", JitFinishForm::Kind::kSums)
      .value("bytes", JitFinishForm::Kind::kBytes)
      .value("sum", JitFinishForm::Kind::kSum)
      .value("residual_is_a", JitFinishForm::Kind::kResidualIsA);
  py::class_<Grid>(module, "JitGrid").def(py::init<int64_t, int64_t, int64_t, int64_t>());
  py::class_<QJit>(module, "Jit")
      .def(py::init(&make))
      .def_property_readonly("finishes", [](const QJit& packed) { return packed.form != JitFinishForm(); })
      .def_property_readonly("blocks", [](const QJit& packed) { return packed.code.blocks(); })
      .def_property_readonly("segments", [](const QJit& packed) { return packed.code.segments.size(); })
      .def_property_readonly("code_bytes", [](const QJit& packed) { return packed.code.code_bytes; })
      .def_property_readonly("groups", [](const QJit& packed) { return packed.code.nonzeros; })
      .def("run", &run, py::arg("row_base"), py::arg("grid"), py::arg("x"), py::arg("y"), py::arg("residual"),
           py::arg("output"), py::arg("rows"), py::arg("tile") = QJitStep::kMaxTile,
           py::arg("cuts") = std::array<int, 2>{1, 1}, py::arg("repeats") = 1, "Seconds of the fastest repetition.");
}

}  // namespace quantized
