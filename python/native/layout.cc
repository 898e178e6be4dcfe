// Bindings of layout/: geometries and the plans made for them, for tests.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>

#include "kernels_quantized.h"
#include "layout/permute_plan.h"
#include "layout/stored_pixels.h"
#include "layout/transfer.h"
#include "layout/window_layout.h"
#include "run/layout_steps.h"

namespace py = pybind11;
using namespace sparsecpu;

namespace {

Geometry make_geometry(const std::array<int64_t, 3>& size, const std::array<int, 3>& lanes,
                       const std::array<int64_t, 2>& step, const std::array<int64_t, 2>& origin,
                       const std::array<int64_t, 2>& grid) {
  return {.n = size[0],
          .h = size[1],
          .w = size[2],
          .lanes_n = lanes[0],
          .lanes_h = lanes[1],
          .lanes_w = lanes[2],
          .step_h = step[0],
          .step_w = step[1],
          .origin_h = origin[0],
          .origin_w = origin[1],
          .grid_h = grid[0],
          .grid_w = grid[1]};
}

AxisMap axis_map(const py::object& map) {
  if (py::isinstance<py::int_>(map)) return {.shift = map.cast<int64_t>(), .table = {}};
  return {.shift = 0, .table = map.cast<std::vector<int64_t>>()};
}

void run_permute(const std::string& isa, const PermutePlan& plan, const FloatArray& x, FloatArray y,
                 int64_t channel_begin, int64_t channel_end, float fill) {
  for (int64_t r = 0; r < plan.repeats; ++r) {
    table_of(isa).permute(plan.copies.data(), static_cast<int64_t>(plan.copies.size()), plan.sources.data(),
                          x.data() + r * plan.source_step, y.mutable_data() + r * plan.destination_step, channel_begin,
                          channel_end, fill);
  }
}

// All chunks of a step between a row-major tensor and a lane-blocked one.
template <class StepType, class Element>
void run_transfer(StepType step, const py::array_t<Element, py::array::c_style>& tensor, const FloatArray& lanes,
                  int chunks) {
  const auto* start = reinterpret_cast<const float*>(tensor.data());
  const std::vector<float*> buffers{const_cast<float*>(start), const_cast<float*>(lanes.data())};
  step.tensor = {0, 0};
  step.lanes = {1, 0};
  step.chunks = chunks;
  for (int chunk = 0; chunk < chunks; ++chunk) step.run(chunk, Frame(buffers));
}

void load(const TransferPlan& plan, const std::string& isa, const FloatArray& tensor, const FloatArray& lanes,
          float fill, int chunks) {
  ImportStep step(table_of(isa), plan);
  step.fill = fill;
  run_transfer(step, tensor, lanes, chunks);
}

void store(const TransferPlan& plan, const std::string& isa, const FloatArray& lanes, const FloatArray& tensor,
           int chunks) {
  run_transfer(ExportStep(table_of(isa), plan), tensor, lanes, chunks);
}

void load_bytes(const TransferPlan& plan, const std::string& isa, const ByteArray& tensor, const FloatArray& lanes,
                uint32_t fill, uint8_t sign, int chunks) {
  ByteImportStep step(table_of(isa), plan);
  step.fill = fill;
  step.sign = sign;
  run_transfer(step, tensor, lanes, chunks);
}

void store_bytes(const TransferPlan& plan, const std::string& isa, const FloatArray& lanes, const ByteArray& tensor,
                 uint8_t sign, int chunks) {
  ByteExportStep step(table_of(isa), plan);
  step.sign = sign;
  run_transfer(step, tensor, lanes, chunks);
}

}  // namespace

void bind_layout(py::module_& module) {
  py::class_<Geometry>(module, "Geometry")
      .def(py::init(&make_geometry), py::arg("size"), py::arg("lanes"), py::arg("step"), py::arg("origin"),
           py::arg("grid"))
      .def_property_readonly("size", [](const Geometry& g) { return py::make_tuple(g.n, g.h, g.w); })
      .def_property_readonly("lanes", [](const Geometry& g) { return py::make_tuple(g.lanes_n, g.lanes_h, g.lanes_w); })
      .def_property_readonly("step", [](const Geometry& g) { return py::make_tuple(g.step_h, g.step_w); })
      .def_property_readonly("origin", [](const Geometry& g) { return py::make_tuple(g.origin_h, g.origin_w); })
      .def_property_readonly("grid", [](const Geometry& g) { return py::make_tuple(g.grid_h, g.grid_w); })
      .def_property_readonly("groups", &Geometry::groups)
      .def_property_readonly("stores_every_pixel", &stores_every_pixel)
      .def("is_canonical", [](const Geometry& g, int64_t row, int64_t column) { return is_canonical(g, row, column); })
      .def("canonical_place", [](const Geometry& g, int64_t y, int64_t x, int image) {
        const LanePlace place = canonical_place(g, y, x, image);
        return py::make_tuple(place.position, place.lane);
      });
  py::class_<PermutePlan>(module, "PermutePlan")
      .def_property_readonly("copies", [](const PermutePlan& plan) { return plan.copies.size(); })
      .def("run", [](const PermutePlan& plan, const std::string& isa, const FloatArray& x, const FloatArray& y,
                     int64_t begin, int64_t end, float fill) { run_permute(isa, plan, x, y, begin, end, fill); })
      .def("reverse", [](PermutePlan& plan) { std::reverse(plan.copies.begin(), plan.copies.end()); });
  module.def("choose_geometry", &choose_geometry);
  module.def("plan_relayout", [](const Geometry& source, int64_t source_stride, const Geometry& destination,
                                 int64_t destination_stride, const py::object& rows, const py::object& columns) {
    return plan_relayout(source, source_stride, destination, destination_stride, {axis_map(rows), axis_map(columns)});
  });
  module.def("plan_halo", &plan_halo);
  py::class_<WindowLayout>(module, "WindowLayout")
      .def(py::init([](const Geometry& out, const std::array<int64_t, 2>& image, const std::array<int64_t, 4>& rows,
                       const std::array<int64_t, 4>& columns) {
        return WindowLayout(out, image[0], image[1], {rows[0], rows[1], rows[2], rows[3]},
                            {columns[0], columns[1], columns[2], columns[3]});
      }))
      .def_property_readonly("aligned", &WindowLayout::aligned)
      .def_property_readonly("gathers", &WindowLayout::gathers)
      .def_property_readonly("positions", &WindowLayout::positions)
      .def_property_readonly("slots", &WindowLayout::slots)
      .def("slot", &WindowLayout::slot)
      .def("gather", &WindowLayout::gather);
  py::class_<TransferPlan>(module, "TransferPlan")
      .def(py::init([](const Geometry& g, int64_t position_stride, int64_t channels,
                       const std::array<int64_t, 4>& strides, bool whole_grid) {
        return TransferPlan(g, position_stride, channels, {strides[0], strides[1], strides[2], strides[3]},
                            whole_grid ? Coverage::kWholeGrid : Coverage::kCanonical);
      }))
      .def_property_readonly("calls", [](const TransferPlan& p) { return p.rows() * p.segments() * p.outer(); })
      .def_property_readonly("moves_pixels", [](const TransferPlan& p) { return p.of_pixels().has_value(); })
      .def("load", &load, py::arg("isa"), py::arg("tensor"), py::arg("lanes"), py::arg("fill"), py::arg("chunks") = 1)
      .def("store", &store, py::arg("isa"), py::arg("lanes"), py::arg("tensor"), py::arg("chunks") = 1)
      .def("load_bytes", &load_bytes, py::arg("isa"), py::arg("tensor"), py::arg("lanes"), py::arg("fill"),
           py::arg("sign"), py::arg("chunks") = 1)
      .def("store_bytes", &store_bytes, py::arg("isa"), py::arg("lanes"), py::arg("tensor"), py::arg("sign"),
           py::arg("chunks") = 1);
}
