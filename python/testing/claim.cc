// The extension module sparsecpu_testing, claim/ for tests: a Graph described in Python, its decisions, Ops and shapes
// as plain dictionaries, its plans as text. It is built, but not installed: tests/conftest.py finds it.
#include "claim/claim.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "base/error.h"
#include "claim/region_ops.h"
#include "claim/regions.h"
#include "recognise/recognise.h"
#include "testing.h"

namespace py = pybind11;
using namespace sparsecpu;

namespace {

py::dict claim_graph(const py::dict& description, int isa, std::optional<double> min_sparsity, bool neighbours,
                     std::map<std::string, int64_t> assume) {
  const DescribedGraph described = to_graph(description);
  const ClaimOptions options = to_options(isa, min_sparsity, neighbours, std::move(assume));
  ClaimResult result;
  {
    py::gil_scoped_release release;
    result = claim(described.graph, options);
  }
  py::list decisions;
  for (const NodeDecision& d : result.decisions) {
    decisions.append(py::dict(py::arg("region") = d.region, py::arg("pattern") = d.pattern,
                              py::arg("reason") = d.reason, py::arg("sparsity") = d.sparsity,
                              py::arg("group_density") = d.group_density, py::arg("dense_bytes") = d.dense_bytes,
                              py::arg("cpu_us") = d.cpu_us, py::arg("here_us") = d.here_us));
  }
  return py::dict(py::arg("regions") = result.regions, py::arg("decisions") = decisions,
                  py::arg("assumed") = result.assumed);
}

py::tuple describe(const Quantization& q) { return py::make_tuple(q.scale, q.zero_point, q.is_signed); }

template <class View>
auto dense_weight(const View& w) {
  using Number = decltype(w.at(0, 0, 0));
  py::array_t<Number> weight({w.rows, w.channels, w.taps});
  auto at = weight.template mutable_unchecked<3>();
  for (py::ssize_t r = 0; r < at.shape(0); ++r) {
    for (py::ssize_t c = 0; c < at.shape(1); ++c) {
      for (py::ssize_t t = 0; t < at.shape(2); ++t) at(r, c, t) = w.at(r, c, t);
    }
  }
  return weight;
}

py::bytes describe(const Lookup& lookup) {
  return {reinterpret_cast<const char*>(lookup.table.data()), lookup.table.size()};
}

py::dict describe(const ChannelBytes& constant) {
  const auto* values = reinterpret_cast<const char*>(constant.values.data());
  return py::dict(py::arg("values") = py::bytes(values, constant.values.size()), py::arg("first") = constant.first,
                  py::arg("axes") = constant.axes == Axes::kImage ? "image" : "tokens");
}

py::object describe(const std::optional<Lookup>& lookup) {
  return lookup ? py::object(describe(*lookup)) : py::object(py::none());
}

py::dict describe(const ByteSoftmax& softmax) {
  return py::dict(py::arg("x") = describe(softmax.x), py::arg("y") = describe(softmax.y),
                  py::arg("before") = describe(softmax.before), py::arg("after") = describe(softmax.after),
                  py::arg("adds_mask") = softmax.sum.has_value(), py::arg("mask_first") = softmax.mask_first);
}

// What tests look at of each op, added to `out`.
void describe(const Linear& op, py::dict& out) {
  out["weight"] = dense_weight(op.weight), out["bias"] = op.bias, out["groups"] = op.groups;
}
void describe(const QuantizedLinear& op, py::dict& out) {
  out["weight"] = dense_weight(op.weight), out["bias"] = op.bias, out["groups"] = op.groups;
  out["x"] = describe(op.x), out["y"] = describe(op.y), out["multiplier"] = op.multiplier;
  out["bytes"] = op.output == QuantizedLinear::Output::kBytes, out["dynamic"] = op.dynamic_input;
  out["clamp"] = py::make_tuple(op.clamp_low, op.clamp_high), out["float_bias"] = op.float_bias;
}
void describe(const Unary& op, py::dict& out) {
  out["unary"] = static_cast<int>(op.kind), out["a"] = op.a, out["b"] = op.b;
}
void describe(const Affine& op, py::dict& out) { out["scale"] = op.scale, out["shift"] = op.shift; }
void describe(const PRelu& op, py::dict& out) { out["slope"] = op.slope; }
void describe(const LayerNorm& op, py::dict& out) {
  out["centred"] = op.centred, out["epsilon"] = op.epsilon, out["scale"] = op.scale, out["shift"] = op.shift;
}
void describe(const GroupNorm& op, py::dict& out) {
  out["groups"] = op.groups, out["epsilon"] = op.epsilon, out["scale"] = op.scale, out["shift"] = op.shift;
}
void describe(const Attention& op, py::dict& out) {
  constexpr const char* kMaskNames[] = {"none", "added", "keeps", "drops", "padding", "lengths"};
  out["heads"] = op.heads, out["scale"] = op.scale, out["mask"] = kMaskNames[static_cast<size_t>(op.mask)];
  out["masked"] = op.masked, out["replaces"] = op.replaces, out["unattended"] = op.unattended;
}
void describe(const QuantizedAttention& op, py::dict& out) {
  describe(static_cast<const Attention&>(op), out);
  out["softmax"] = op.softmax ? py::object(describe(*op.softmax)) : py::object(py::none());
}
void describe(const Quantize& op, py::dict& out) { out["y"] = describe(op.y); }
void describe(const Dequantize& op, py::dict& out) { out["x"] = describe(op.x); }
void describe(const Lookup& op, py::dict& out) { out["table"] = describe(op), out["output_signed"] = op.output_signed; }
void describe(const GlobalAverage& op, py::dict& out) {
  if (op.bytes) out["x"] = describe(op.bytes->x), out["y"] = describe(op.bytes->y);
}
void describe(const QuantizedAdd& op, py::dict& out) {
  out["a"] = describe(op.a), out["b"] = describe(op.b), out["y"] = describe(op.y);
  out["clamp"] = py::make_tuple(op.clamp_low, op.clamp_high);
  if (op.constant) out["constant"] = describe(*op.constant);
}
void describe(const QuantizedMul& op, py::dict& out) {
  out["a"] = describe(op.a), out["b"] = describe(op.b), out["y"] = describe(op.y);
  if (op.constant) out["constant"] = describe(*op.constant);
}
void describe(const Split& op, py::dict& out) { out["channels"] = py::make_tuple(op.begin, op.end); }
// Of these the name says enough.
void describe(const Binary&, py::dict&) {}
void describe(const Pool&, py::dict&) {}
void describe(const Pad&, py::dict&) {}
void describe(const Resize&, py::dict&) {}
void describe(const Concat&, py::dict&) {}
void describe(const Reshape&, py::dict&) {}
void describe(const SelectToken&, py::dict&) {}
void describe(const DynamicQuantize&, py::dict&) {}

py::dict describe(const Op& op) {
  py::dict result(py::arg("kind") = op.op_name(), py::arg("inputs") = op.inputs, py::arg("output") = op.output,
                  py::arg("node") = op.node, py::arg("name") = op.name);
  if (const auto axes = op.own_axes()) result["axes"] = *axes == Axes::kImage ? "image" : "tokens";
  std::visit([&](const auto& data) { describe(data, result); }, op.data);
  return result;
}

// Per node: the pattern, the reason why it is not recognised, or its Ops over the values of the graph.
py::list recognise(const py::dict& description) {
  const DescribedGraph described = to_graph(description);
  const RecognisedGraph recognised = recognise_graph(described.graph, {});
  py::list result;
  for (const Recognised& node : recognised.nodes) {
    py::list ops;
    for (const Op& op : node.ops) ops.append(describe(op));
    result.append(py::dict(py::arg("pattern") = node.pattern, py::arg("reason") = node.reason,
                           py::arg("unit") = node.unit, py::arg("ops") = ops));
  }
  return result;
}

// Shapes of all values that the Ops of a graph make, by name, for concrete input shapes. Throws if a node has none.
std::map<std::string, Shape> infer_shapes(const py::dict& description, const std::map<std::string, Shape>& inputs) {
  const DescribedGraph described = to_graph(description);
  const Atoms atoms = contract_units(described.graph, recognise_graph(described.graph, {}));
  std::vector<int> all;
  for (const Recognised& node : atoms.recognised.nodes) {
    if (!node.ok()) throw Error("a node is not recognised: " + node.reason);
    all.push_back(static_cast<int>(all.size()));
  }
  const OpGraph graph = region_ops(atoms, all).graph;
  std::vector<Shape> shapes(graph.values.size());
  for (int input : graph.inputs) shapes[input] = inputs.at(graph.values[input].name);
  std::map<std::string, Shape> result;
  for (const Op& op : graph.ops) {
    std::vector<Shape> given;
    for (int input : op.inputs) given.push_back(shapes[input]);
    shapes[op.output] = output_shape(op, given);
    if (!graph.values[op.output].name.empty()) result[graph.values[op.output].name] = shapes[op.output];
  }
  return result;
}

// Per axis (rows, columns) the source pixel of every output pixel. Modes: indices into the enums of Resize.
std::array<std::vector<int64_t>, 2> sources_of_resize(const ImageSize& from, const std::array<float, 2>& scale,
                                                      const ImageSize& sizes, int coordinate, int nearest,
                                                      bool wide_ties) {
  return resize_sources(
      {scale, sizes, static_cast<Resize::Coordinate>(coordinate), static_cast<Resize::Nearest>(nearest), wide_ties},
      from);
}

}  // namespace

PYBIND11_MODULE(sparsecpu_testing, module) {
  module.def("claim", &claim_graph, py::arg("graph"), py::arg("isa") = 2, py::arg("min_sparsity") = py::none(),
             py::arg("neighbours") = true, py::arg("assume") = std::map<std::string, int64_t>{});
  module.def("recognise", &recognise, py::arg("graph"));
  module.def("infer_shapes", &infer_shapes, py::arg("graph"), py::arg("inputs"));
  module.def("resize_sources", &sources_of_resize, py::arg("from_size"), py::arg("scale"), py::arg("sizes"),
             py::arg("coordinate"), py::arg("nearest"), py::arg("wide_ties"));
  module.def("contraction_is_acyclic", &contraction_is_acyclic, py::arg("successors"), py::arg("group"));
  // claimed: a bool per node; side: nodes with different numbers never share a group.
  module.def(
      "form_groups",
      [](const py::dict& description, const std::vector<bool>& claimed, const std::vector<int>& side) {
        return form_groups(to_graph(description).graph, claimed, side);
      },
      py::arg("graph"), py::arg("claimed"), py::arg("side"));
  bind_plans(module);
}
