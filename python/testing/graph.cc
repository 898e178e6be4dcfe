#include <pybind11/stl.h>

#include "graph/dequantized.h"
#include "graph/operators.h"
#include "pack/levels.h"
#include "testing.h"

namespace py = pybind11;
using namespace sparsecpu;

namespace {

Attribute to_attribute(const py::handle& value) {
  if (py::isinstance<py::str>(value)) return value.cast<std::string>();
  if (py::isinstance<py::float_>(value)) return value.cast<float>();
  if (py::isinstance<py::int_>(value)) return value.cast<int64_t>();
  const py::list list = value.cast<py::list>();
  if (py::len(list) > 0 && py::isinstance<py::float_>(list[0])) return list.cast<std::vector<float>>();
  return list.cast<std::vector<int64_t>>();
}

// {"name", "type" (ONNX number), "dims" (None: unknown rank; int, str or None per axis), "array" (a constant)}
Value to_value(const py::dict& description, DescribedGraph* described) {
  Value value;
  value.name = description["name"].cast<std::string>();
  value.type = static_cast<ElementType>(description["type"].cast<int>());
  if (description.contains("array")) {
    py::array array = py::array::ensure(description["array"], py::array::c_style);
    value.is_constant = value.has_shape = true;
    value.constant = {value.type,
                      {array.shape(), array.shape() + array.ndim()},
                      array.data(),
                      static_cast<size_t>(array.nbytes()),
                      nullptr};
    if (description.contains("bytes")) value.constant.bytes = description["bytes"].cast<size_t>();
    value.dims = value.constant.dims;
    described->arrays.push_back(std::move(array));
  } else if (!description["dims"].is_none()) {
    value.has_shape = true;
    for (const py::handle& dim : description["dims"].cast<py::list>()) {
      const bool known = py::isinstance<py::int_>(dim);
      value.dims.push_back(known ? dim.cast<int64_t>() : -1);
      value.symbols.push_back(py::isinstance<py::str>(dim) ? dim.cast<std::string>() : "");
    }
  }
  return value;
}

Node to_node(const py::dict& description) {
  Node node;
  node.name = description["name"].cast<std::string>();
  node.op_type = description["op_type"].cast<std::string>();
  node.domain = description["domain"].cast<std::string>();
  node.since_version = description["since_version"].cast<int>();
  node.op = operator_name(node.domain, node.op_type, node.since_version);
  node.inputs = IndexList(description["inputs"].cast<std::vector<int>>());
  node.outputs = IndexList(description["outputs"].cast<std::vector<int>>());
  for (const auto& [key, value] : description["attributes"].cast<py::dict>()) {
    node.attributes[key.cast<std::string>()] = to_attribute(value);
  }
  node.has_subgraph = description.contains("has_subgraph") && description["has_subgraph"].cast<bool>();
  node.assigned_elsewhere =
      description.contains("assigned_elsewhere") && description["assigned_elsewhere"].cast<bool>();
  return node;
}

}  // namespace

DescribedGraph to_graph(const py::dict& description) {
  DescribedGraph described;
  Graph& graph = described.graph;
  for (const py::handle& value : description["values"]) {
    graph.values.push_back(to_value(value.cast<py::dict>(), &described));
  }
  for (const py::handle& item : description["nodes"]) {
    const int index = static_cast<int>(graph.nodes.size());
    graph.nodes.push_back(to_node(item.cast<py::dict>()));
    graph.nodes.back().id = index;
    for (int input : graph.nodes.back().inputs) {
      if (input >= 0) graph.values[input].consumers.push_back(index);
    }
    for (int output : graph.nodes.back().outputs) {
      if (output >= 0) graph.values[output].producer = index;
    }
  }
  graph.inputs = IndexList(description["inputs"].cast<std::vector<int>>());
  graph.outputs = IndexList(description["outputs"].cast<std::vector<int>>());
  for (int output : graph.outputs) graph.values[output].is_graph_output = true;
  add_dequantized_constants(&graph);
  return described;
}

ClaimOptions to_options(int isa, std::optional<double> min_sparsity, bool neighbours,
                        std::map<std::string, int64_t> assume) {
  ClaimOptions options;
  options.isa = static_cast<Isa>(isa);
  options.jit = jit_available(options.isa, /*bytes=*/false);
  options.min_sparsity = min_sparsity;
  options.neighbours = neighbours;
  options.assume = std::move(assume);
  return options;
}
