#include "recognise/patterns/patterns.h"

#include <set>
#include <string_view>

#include "graph/operators.h"
#include "ops/dims.h"

namespace sparsecpu {
namespace {

// Operators of which exporters compute shapes and scales.
bool computes_shapes(const std::string& op) {
  constexpr std::string_view kNames[] = {"Shape",
                                         "Gather",
                                         "Unsqueeze",
                                         "Squeeze",
                                         "Concat",
                                         "Slice",
                                         "Cast",
                                         "Add",
                                         "Sub",
                                         "Mul",
                                         "Div",
                                         "Sqrt",
                                         "Where",
                                         "Equal",
                                         "Reshape",
                                         "Constant",
                                         "ConstantOfShape",
                                         "Identity",
                                         "Range",
                                         "Reciprocal"};
  return is_any_of(op, kNames);
}

// What shapes are computed with: integers, conditions on them, and scales.
bool is_small(const Value& value) {
  const bool number = value.type == ElementType::kFloat && value.has_shape && element_count(value.dims) == 1;
  return number || value.type == ElementType::kInt64 || value.type == ElementType::kInt32 ||
         value.type == ElementType::kBool;
}

// Whether only `nodes` use what the node makes.
bool is_inside(const Graph& graph, const std::set<int>& nodes, int node) {
  for (int output : graph.nodes[node].outputs) {
    if (output < 0) continue;
    if (graph.values[output].is_graph_output) return false;
    for (int consumer : graph.values[output].consumers) {
      if (nodes.count(consumer) == 0) return false;
    }
  }
  return true;
}

// Values of the graph that ops read and that none of them makes.
std::set<int> read_by(const Ops& ops) {
  std::set<int> values;
  for (const Op& op : ops) values.insert(op.inputs.begin(), op.inputs.end());
  for (const Op& op : ops) values.erase(op.output);
  values.erase(values.begin(), values.lower_bound(0));  // inside a node
  return values;
}

}  // namespace

std::optional<Unit> close_unit(const Graph& graph, std::vector<int> nodes, int main, const Ops& ops) {
  const std::set<int> read = read_by(ops);
  std::set<int> inside(nodes.begin(), nodes.end());
  const int last = *inside.rbegin();
  // Backwards: a maker comes before its users, so one pass meets all that serve only this unit.
  std::set<int> open = inside;
  while (!open.empty()) {
    const int node = *open.rbegin();
    open.erase(node);
    if (inside.count(node) == 0 && !is_inside(graph, inside, node)) continue;
    inside.insert(node);
    if (graph.nodes[node].op == "Shape") {  // of floats that nothing else may need: the bytes have the same
      const int floats = made_by(graph, graph.nodes[node].inputs[0], "DequantizeLinear");
      if (floats >= 0 && inside.count(floats) == 0 && read.count(graph.nodes[node].inputs[0]) == 0) open.insert(floats);
      continue;
    }
    for (int input : graph.nodes[node].inputs) {
      const int made = graph.producer(input);
      const bool serves =
          made >= 0 && computes_shapes(graph.nodes[made].op) && is_small(graph.values[input]) && read.count(input) == 0;
      if (serves && inside.count(made) == 0) open.insert(made);
    }
  }
  for (int node : inside) {
    if (node != last && !is_inside(graph, inside, node)) return std::nullopt;
  }
  for (int value : read) {
    if (inside.count(graph.producer(value)) != 0) return std::nullopt;
  }
  return Unit{{inside.begin(), inside.end()}, main, last};
}

}  // namespace sparsecpu
