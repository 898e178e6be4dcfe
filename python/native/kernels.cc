// Bindings of the linear kernels and their packing, for tests and benchmarks. Sizes are not checked.
#include <pybind11/stl.h>

#include <optional>
#include <tuple>
#include <vector>

#include "bindings.h"
#include "kernels_layer.h"

void bind_elementwise_kernels(pybind11::module_& module);  // kernels_elementwise.cc
void bind_attention_kernels(pybind11::module_& module);    // kernels_attention.cc
void bind_jit_kernels(pybind11::module_& module);          // kernels_jit.cc

namespace py = pybind11;
using namespace sparsecpu;

namespace {

const float* data_or_null(const std::optional<FloatArray>& array) { return array ? array->data() : nullptr; }

Layer make_layer(const StridedFloats& weight, int64_t groups, std::array<int64_t, 2> kernel, float alpha,
                 const std::optional<FloatArray>& bias, const std::optional<FloatArray>& row_scale,
                 const std::optional<FloatArray>& row_shift) {
  Layer layer{weight, bias, row_scale, row_shift, {}};
  constexpr py::ssize_t kFloat = sizeof(float);
  layer.view.weight = {weight.data(),
                       weight.shape(0),
                       weight.shape(1),
                       weight.shape(2),
                       weight.strides(0) / kFloat,
                       weight.strides(1) / kFloat,
                       weight.strides(2) / kFloat,
                       alpha};
  layer.view.groups = groups;
  layer.view.kernel = kernel;
  layer.view.bias = data_or_null(layer.bias);
  layer.view.row_scale = data_or_null(layer.row_scale);
  layer.view.row_shift = data_or_null(layer.row_shift);
  return layer;
}

// Calls `kernel` on tiles of `tile` positions each; returns the fastest of `repeats` rounds in seconds.
template <class Kernel>
double over_tiles(const Positions& x, Positions& y, std::optional<Positions>& residual, int tile, int repeats,
                  const Kernel& kernel) {
  return fastest(repeats, [&] {
    for (size_t first = 0; first < x.at.size(); first += static_cast<size_t>(tile)) {
      LaneTile now;
      now.positions = static_cast<int>(std::min(x.at.size() - first, static_cast<size_t>(tile)));
      for (int p = 0; p < now.positions; ++p) {
        const size_t i = first + static_cast<size_t>(p);
        now.x[p] = x.buffer.data() + x.at[i];
        now.y[p] = y.buffer.mutable_data() + y.at[i];
        if (residual) now.residual[p] = residual->buffer.data() + residual->at[i];
      }
      kernel(now);
    }
  });
}

// Binds .run(isa, begin, end, distances, x, y, residual, clamp, tile, repeats) of a packed layer.
template <class Packed, class Member>
void bind_run(py::class_<Packed>& type, Member kernel) {
  type.def(
      "run",
      [kernel](const Packed& packed, const std::string& isa, int64_t begin, int64_t end, const Distances& distances,
               const Positions& x, Positions y, std::optional<Positions> residual, std::tuple<float, float> limits,
               int tile, int repeats) {
        const auto function = table_of(isa).*kernel;
        const Clamp clamp{std::get<0>(limits), std::get<1>(limits)};
        return over_tiles(x, y, residual, tile, repeats, [&](const LaneTile& now) {
          function(packed.view, begin, end, distances.data(), now, clamp);
        });
      },
      py::arg("isa"), py::arg("begin"), py::arg("end"), py::arg("distances"), py::arg("x"), py::arg("y"),
      py::arg("residual"), py::arg("clamp"), py::arg("tile"), py::arg("repeats") = 1,
      "Computes units [begin, end) at all positions; seconds of the fastest round.");
}

double run_few_rows(const PackedFewRows& packed, const std::string& isa, int64_t begin, int64_t end,
                    const StridedFloats& x, StridedFloats y, const std::optional<StridedFloats>& residual,
                    std::tuple<float, float> limits, int repeats) {
  constexpr py::ssize_t kFloat = sizeof(float);
  FewRowsArgs args;
  args.m = x.shape(0);
  args.x = x.data();
  args.x_stride = x.strides(0) / kFloat;
  args.y = y.mutable_data();
  args.y_stride = y.strides(0) / kFloat;
  if (residual) args.residual = residual->data(), args.residual_stride = residual->strides(0) / kFloat;
  args.clamp = {std::get<0>(limits), std::get<1>(limits)};
  return fastest(repeats, [&] { table_of(isa).few_rows(packed.view, begin, end, args); });
}

void bind_packing(py::module_& module) {
  py::class_<Layer>(module, "Layer")
      .def(py::init(&make_layer), py::arg("weight"), py::arg("groups") = 1,
           py::arg("kernel") = std::array<int64_t, 2>{1, 1}, py::arg("alpha") = 1.0f, py::arg("bias") = py::none(),
           py::arg("row_scale") = py::none(), py::arg("row_shift") = py::none())
      .def_property_readonly("nonzeros", [](const Layer& layer) { return layer.view.nonzeros(); });
  py::class_<Positions>(module, "Positions").def(py::init<FloatArray, Distances>());
  module.attr("SPMM_ROWS") = kSpmmRows;
  module.attr("DENSE_ROWS") = kDenseRows;
}

void bind_packed(py::module_& module) {
  py::class_<PackedSpmm> spmm(module, "Spmm");
  spmm.def(py::init([](const Layer& layer, int64_t dilation_w, int64_t position_vectors, int64_t max_chunk_vectors) {
             return pack_spmm(layer.view, dilation_w, position_vectors, max_chunk_vectors);
           }),
           py::arg("layer"), py::arg("dilation_w"), py::arg("position_vectors"), py::arg("max_chunk_vectors"));
  spmm.def_property_readonly("blocks", [](const PackedSpmm& p) { return p.view.blocks(); });
  spmm.def_readonly("nonzeros", &PackedSpmm::nonzeros);
  spmm.def_property_readonly("origins", &origins_of<PackedSpmm>);
  bind_run(spmm, &KernelTable::spmm);

  py::class_<PackedDense> dense(module, "Dense");
  dense.def(py::init([](const Layer& layer) { return pack_dense(layer.view); }));
  dense.def_property_readonly("blocks", [](const PackedDense& p) { return p.view.blocks(); });
  bind_run(dense, &KernelTable::dense);

  py::class_<PackedDepthwise> depthwise(module, "Depthwise");
  depthwise.def(py::init([](const Layer& layer) { return pack_depthwise(layer.view); }));
  bind_run(depthwise, &KernelTable::depthwise);

  py::class_<PackedFewRows>(module, "FewRows")
      .def(py::init([](const Layer& layer, bool sparse) { return pack_few_rows(layer.view, sparse); }))
      .def_readonly("nonzeros", &PackedFewRows::nonzeros)
      .def("run", &run_few_rows, py::arg("isa"), py::arg("begin"), py::arg("end"), py::arg("x"), py::arg("y"),
           py::arg("residual"), py::arg("clamp"), py::arg("repeats") = 1);
}

}  // namespace

void bind_kernels(py::module_& module) {
  bind_elementwise_kernels(module);
  bind_packing(module);
  bind_packed(module);
  bind_attention_kernels(module);
  bind_jit_kernels(module);
  bind_quantized_kernels(module);
}
