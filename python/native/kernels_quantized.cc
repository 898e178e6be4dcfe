// Bindings of the INT8 kernels and their packing, for tests and benchmarks. Sizes are not checked. Lane-blocked
// buffers are float32 arrays, whose 32 bits hold four bytes.
#include "kernels_quantized.h"

#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "base/quantization.h"
#include "bindings.h"
#include "kernels/quantized.h"

namespace py = pybind11;
using namespace sparsecpu;

namespace quantized {
namespace {

const QuantizedKernels& quantized_of(const std::string& isa) { return *table_of(isa).quantized; }

Layer make_layer(const StridedBytes& weight, bool is_signed, const std::optional<ByteArray>& zero_points,
                 int64_t groups, std::array<int64_t, 2> kernel, const std::optional<IntArray>& bias,
                 int input_zero_point, bool dynamic_input, const std::optional<FloatArray>& multiplier) {
  Layer layer{weight, zero_points, bias, multiplier, {}};
  QuantizedWeightView& view = layer.view.weight;
  view.data = weight.data();
  view.is_signed = is_signed;
  view.rows = weight.shape(0), view.channels = weight.shape(1), view.taps = weight.shape(2);
  view.row_stride = weight.strides(0), view.channel_stride = weight.strides(1), view.tap_stride = weight.strides(2);
  if (zero_points) view.zero_points = zero_points->data(), view.zero_point_stride = zero_points->size() > 1 ? 1 : 0;
  layer.view.groups = groups;
  layer.view.kernel = kernel;
  if (bias) layer.view.bias = layer.bias->data();
  layer.view.input_zero_point = input_zero_point;
  layer.view.dynamic_input = dynamic_input;
  if (multiplier) layer.view.multiplier = layer.multiplier->data();
  return layer;
}

// Calls fn(QuantizedOutput) with pointers that live as long.
template <class F>
void with_output(const Output& args, const QuantizedRows& rows, const F& fn) {
  QuantizedSum sum;
  if (args.sum) sum = {std::get<0>(*args.sum), std::get<1>(*args.sum), std::get<2>(*args.sum), std::get<3>(*args.sum)};
  QuantizedOutput out;
  out.form = args.form;
  out.bias = rows.bias.data();
  out.multiplier = rows.multiplier.data();
  out.zero_point = args.zero_point;
  if (args.float_bias) out.float_bias = args.float_bias->data();
  out.clamp = {args.clamp[0], args.clamp[1]};
  if (args.sum) out.sum = &sum;
  out.residual_is_a = args.residual_is_a;
  if (args.lookup) out.lookup = args.lookup->data();
  fn(out);
}

// A lane-blocked buffer and where in it each position starts, in floats.
using Places = std::pair<FloatArray, Distances>;

template <class Packed, class Member>
void bind_run(py::class_<Packed>& type, Member kernel) {
  type.def(
      "run",
      [kernel](const Packed& packed, const std::string& isa, int64_t begin, int64_t end, const Distances& distances,
               const Places& x, Places y, std::optional<Places> residual, const Output& output, int tile, int repeats) {
        const auto function = quantized_of(isa).*kernel;
        double seconds = 0;
        with_output(output, packed.rows, [&](const QuantizedOutput& out) {
          seconds = fastest(repeats, [&] {
            for (size_t first = 0; first < x.second.size(); first += static_cast<size_t>(tile)) {
              LaneTile now;
              now.positions = static_cast<int>(std::min(x.second.size() - first, static_cast<size_t>(tile)));
              for (int p = 0; p < now.positions; ++p) {
                const size_t i = first + static_cast<size_t>(p);
                now.x[p] = x.first.data() + x.second[i];
                now.y[p] = y.first.mutable_data() + y.second[i];
                if (residual) now.residual[p] = residual->first.data() + residual->second[i];
              }
              function(packed.view, begin, end, distances.data(), now, out);
            }
          });
        });
        return seconds;
      },
      py::arg("isa"), py::arg("begin"), py::arg("end"), py::arg("distances"), py::arg("x"), py::arg("y"),
      py::arg("residual"), py::arg("output"), py::arg("tile"), py::arg("repeats") = 1);
  type.def_property_readonly("row_sum", [](const Packed& p) { return p.rows.row_sum; });
}

double run_few_rows(const PackedQFewRows& packed, const std::string& isa, int64_t begin, int64_t end,
                    const StridedBytes& x, py::array y, const std::optional<StridedBytes>& residual,
                    const Output& output, int repeats) {
  QFewRowsArgs args;
  args.m = x.shape(0);
  args.x = x.data();
  args.x_stride = x.strides(0);
  args.y = y.mutable_data();
  args.y_stride = y.strides(0) / y.itemsize();
  if (residual) args.residual = residual->data(), args.residual_stride = residual->strides(0);
  double seconds = 0;
  with_output(output, packed.rows, [&](const QuantizedOutput& out) {
    args.output = out;
    seconds = fastest(repeats, [&] { quantized_of(isa).few_rows(packed.view, begin, end, args); });
  });
  return seconds;
}

void bind_layers(py::module_& module) {
  py::enum_<QuantizedOutput::Form>(module, "Form")
      .value("bytes", QuantizedOutput::Form::kBytes)
      .value("floats", QuantizedOutput::Form::kFloats)
      .value("ints", QuantizedOutput::Form::kInts);
  py::class_<Output>(module, "Output")
      .def(py::init<QuantizedOutput::Form, int, std::optional<FloatArray>, std::array<float, 2>,
                    std::optional<std::tuple<float, float, float, uint8_t>>, bool, std::optional<ByteArray>>(),
           py::arg("form"), py::arg("zero_point") = 0, py::arg("float_bias") = py::none(),
           py::arg("clamp") = std::array<float, 2>{-__builtin_inff(), __builtin_inff()}, py::arg("sum") = py::none(),
           py::arg("residual_is_a") = false, py::arg("lookup") = py::none())
      .def_readonly("sum", &Output::sum)
      .def_readonly("residual_is_a", &Output::residual_is_a)
      .def_readonly("lookup", &Output::lookup);
  py::class_<Layer>(module, "Layer")
      .def(py::init(&make_layer), py::arg("weight"), py::arg("is_signed") = true, py::arg("zero_points") = py::none(),
           py::arg("groups") = 1, py::arg("kernel") = std::array<int64_t, 2>{1, 1}, py::arg("bias") = py::none(),
           py::arg("input_zero_point") = 0, py::arg("dynamic_input") = false, py::arg("multiplier") = py::none())
      .def_property_readonly("nonzero_groups", [](const Layer& layer) { return layer.view.nonzero_groups(); });
  module.attr("ROWS") = kQuantizedRows;
  module.def("splits_pairs", [](const std::string& isa) { return quantized_of(isa).split_pairs; });
}

void bind_packed(py::module_& module) {
  py::class_<PackedQSpmm> spmm(module, "Spmm");
  spmm.def(py::init([](const Layer& layer, int64_t dilation_w, int64_t position_vectors, int64_t max_chunk_vectors,
                       bool split_pairs) {
    return pack_qspmm(layer.view, dilation_w, position_vectors, max_chunk_vectors, split_pairs);
  }));
  spmm.def_property_readonly("blocks", [](const PackedQSpmm& p) { return p.view.blocks(); });
  spmm.def_readonly("groups", &PackedQSpmm::groups);
  spmm.def_property_readonly("origins", &origins_of<PackedQSpmm>);
  bind_run(spmm, &QuantizedKernels::spmm);
  py::class_<PackedQDense> dense(module, "Dense");
  dense.def(py::init([](const Layer& layer) { return pack_qdense(layer.view); }));
  dense.def_property_readonly("blocks", [](const PackedQDense& p) { return p.view.blocks(); });
  bind_run(dense, &QuantizedKernels::dense);
  py::class_<PackedQDepthwise> depthwise(module, "Depthwise");
  depthwise.def(py::init([](const Layer& layer) { return pack_qdepthwise(layer.view); }));
  depthwise.def_property_readonly("blocks", [](const PackedQDepthwise& p) { return p.view.vectors(); });
  bind_run(depthwise, &QuantizedKernels::depthwise);
  py::class_<PackedQFewRows>(module, "FewRows")
      .def(py::init([](const Layer& layer, bool sparse) { return pack_qfew_rows(layer.view, sparse); }))
      .def_readonly("groups", &PackedQFewRows::groups)
      .def("run", &run_few_rows, py::arg("isa"), py::arg("begin"), py::arg("end"), py::arg("x"), py::arg("y"),
           py::arg("residual"), py::arg("output"), py::arg("repeats") = 1);
}

void bind_elementwise(py::module_& module) {
  // sums, y: one position's rows in lanes.
  module.def("finish", [](const std::string& isa, const IntArray& sums, const FloatArray& multiplier,
                          const Output& output, FloatArray y, const std::optional<FloatArray>& residual) {
    QuantizedRows rows;
    rows.multiplier.assign(multiplier.data(), multiplier.data() + multiplier.size());
    with_output(output, rows, [&](const QuantizedOutput& out) {
      quantized_of(isa).finish(sums.data(), 0, multiplier.size(), out, y.mutable_data(),
                               residual ? residual->data() : nullptr);
    });
  });
  module.def("quantize_lanes",
             [](const std::string& isa, float scale, int zero, const FloatArray& x, FloatArray y, int64_t channels) {
               quantized_of(isa).quantize_lanes({scale, zero}, x.data(), y.mutable_data(), channels);
             });
  module.def("dequantize_lanes",
             [](const std::string& isa, float scale, int zero, const FloatArray& x, FloatArray y, int64_t channels) {
               quantized_of(isa).dequantize_lanes({scale, zero}, x.data(), y.mutable_data(), channels);
             });
  module.def("quantize",
             [](const std::string& isa, float scale, int zero, uint8_t sign, const FloatArray& x, ByteArray y) {
               quantized_of(isa).quantize({scale, zero}, sign, x.data(), y.mutable_data(), y.size());
             });
  module.def("dequantize",
             [](const std::string& isa, float scale, int zero, uint8_t sign, const ByteArray& x, FloatArray y) {
               quantized_of(isa).dequantize({scale, zero}, sign, x.data(), y.mutable_data(), y.size());
             });
  module.def("requantize",
             [](const std::string& isa, float multiplier, int zero, uint8_t sign, const IntArray& acc, ByteArray y) {
               quantized_of(isa).requantize(multiplier, zero, sign, acc.data(), y.mutable_data(), y.size());
             });
  module.def("min_max", [](const std::string& isa, const FloatArray& x, float least, float most) {
    quantized_of(isa).min_max(x.data(), x.size(), &least, &most);
    return py::make_tuple(least, most);
  });
  module.def("add", [](const std::string& isa, std::tuple<float, float, float, uint8_t> sum, const ByteArray& a,
                       const ByteArray& b, ByteArray y) {
    QuantizedBinary args;
    args.sum = {std::get<0>(sum), std::get<1>(sum), std::get<2>(sum), std::get<3>(sum)};
    args.b_is_scalar = b.size() == 1 && y.size() > 1;
    quantized_of(isa).add(args, a.data(), b.data(), y.mutable_data(), y.size());
  });
  module.def("multiply", [](const std::string& isa, float multiplier, std::array<int, 3> zeros, uint8_t sign,
                            const ByteArray& a, const ByteArray& b, ByteArray y) {
    QuantizedBinary args;
    args.sum.sign = sign;
    args.multiplier = multiplier;
    args.a_zero = zeros[0], args.b_zero = zeros[1], args.y_zero = zeros[2];
    args.b_is_scalar = b.size() == 1 && y.size() > 1;
    quantized_of(isa).multiply(args, a.data(), b.data(), y.mutable_data(), y.size());
  });
  module.def("lookup", [](const std::string& isa, const ByteArray& table, const ByteArray& x, ByteArray y) {
    quantized_of(isa).lookup(table.data(), x.data(), y.mutable_data(), y.size());
  });
}

void bind_pools(py::module_& module) {
  module.def("pool_max", [](const std::string& isa, const FloatArray& x, FloatArray y) {
    quantized_of(isa).pool_max(tap_pointers(x).data(), static_cast<int>(x.shape(0)), y.mutable_data(),
                               y.size() / kLanes);
  });
  module.def("pool_average", [](const std::string& isa, std::pair<float, int> x_parameters,
                                std::pair<float, int> y_parameters, uint8_t sign, const FloatArray& lane_count,
                                const FloatArray& x, FloatArray y) {
    const QuantizedAverage args{
        {x_parameters.first, x_parameters.second}, {y_parameters.first, y_parameters.second}, lane_count.data(), sign};
    quantized_of(isa).pool_average(args, tap_pointers(x).data(), static_cast<int>(x.shape(0)), y.mutable_data(),
                                   y.size() / kLanes);
  });
  module.def("sum_positions", [](const std::string& isa, const FloatArray& x, const Distances& offset,
                                 const std::vector<uint16_t>& mask, int64_t begin, int64_t end, IntArray y) {
    quantized_of(isa).sum_positions(x.data(), offset.data(), mask.data(), static_cast<int64_t>(mask.size()), begin, end,
                                    y.mutable_data());
  });
  module.def("copy_channels", [](const std::string& isa, const FloatArray& x, int64_t x_first, FloatArray y,
                                 int64_t y_first, int64_t channels) {
    quantized_of(isa).copy_channels(x.data(), x_first, y.mutable_data(), y_first, channels);
  });
}

// rows: 16 arrays or None; lengths are given.
template <class Pointer>
void row_pointers(std::vector<std::optional<ByteArray>>& rows, Pointer (&pointers)[kLanes]) {
  for (size_t l = 0; l < kLanes; ++l) pointers[l] = rows.at(l) ? rows[l]->mutable_data() : nullptr;
}

void bind_rows(py::module_& module) {
  py::class_<ByteRows>(module, "ByteRows").def(py::init<uint8_t, uint32_t, int, int64_t>());
  const auto load = [&module](const char* name, auto member) {
    module.def(name, [member](const std::string& isa, const ByteRows& args, std::vector<std::optional<ByteArray>> rows,
                              const std::vector<int64_t>& lengths, int64_t count, FloatArray y, int64_t stride) {
      const uint8_t* pointers[kLanes];
      row_pointers(rows, pointers);
      (quantized_of(isa).*member)(args, pointers, lengths.data(), count, y.mutable_data(), stride);
    });
  };
  const auto store = [&module](const char* name, auto member) {
    module.def(
        name, [member](const std::string& isa, const ByteRows& args, const FloatArray& x, int64_t stride, int64_t count,
                       std::vector<std::optional<ByteArray>> rows, const std::vector<int64_t>& lengths) {
          uint8_t* pointers[kLanes];
          row_pointers(rows, pointers);
          (quantized_of(isa).*member)(args, x.data(), stride, count, pointers, lengths.data());
        });
  };
  load("load_planes", &QuantizedKernels::load_planes);
  load("load_channels", &QuantizedKernels::load_channels);
  store("store_planes", &QuantizedKernels::store_planes);
  store("store_channels", &QuantizedKernels::store_channels);
  module.def("interleave_planes",
             [](const std::string& isa, const ByteRows& args, const ByteArray& x, int64_t count, FloatArray y) {
               quantized_of(isa).interleave_planes(args, x.data(), count, y.mutable_data());
             });
  module.def("separate_planes",
             [](const std::string& isa, const ByteRows& args, const FloatArray& x, int64_t count, ByteArray y) {
               quantized_of(isa).separate_planes(args, x.data(), count, y.mutable_data());
             });
}

Quantization own(std::pair<float, int> q) {
  Quantization result;
  result.scale = q.first;
  result.zero_point = q.second;
  return result;
}

void bind_formulas(py::module_& module) {
  module.def("requantize_multiplier", &requantize_multiplier);
  module.def("product_multiplier", &product_multiplier);
  module.def("global_average_multiplier", &global_average_multiplier);
  module.def("quantized_sum", [](std::pair<float, int> a, std::pair<float, int> b, std::pair<float, int> y) {
    const SumRatios sum = quantized_sum(own(a), own(b), own(y));
    return py::make_tuple(sum.a_ratio, sum.b_ratio, sum.shift);
  });
  module.def("dynamic_quantization", [](float least, float most) {
    const Quantization q = dynamic_quantization(least, most);
    return py::make_tuple(q.scale, q.zero_point);
  });
}

void bind_all(py::module_& module) {
  bind_layers(module);
  bind_packed(module);
  bind_jit(module);
  bind_elementwise(module);
  bind_pools(module);
  bind_rows(module);
  bind_formulas(module);
}

}  // namespace
}  // namespace quantized

void bind_quantized_kernels(py::module_& kernels) {
  py::module_ module = kernels.def_submodule("quantized", "The INT8 kernels.");
  quantized::bind_all(module);
}
