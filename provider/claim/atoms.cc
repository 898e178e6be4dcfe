#include "claim/atoms.h"

#include <algorithm>

namespace sparsecpu {
namespace {

// The operator of a unit, with what enters and leaves the unit as its inputs and outputs.
Node unit_node(const Graph& graph, const Unit& unit) {
  Node result = graph.nodes[unit.main];
  result.inputs.clear();
  result.outputs.clear();
  const auto inside = [&](int node) {
    return std::find(unit.nodes.begin(), unit.nodes.end(), node) != unit.nodes.end();
  };
  for (int member : unit.nodes) {
    const Node& node = graph.nodes[member];
    result.has_subgraph |= node.has_subgraph;
    result.assigned_elsewhere |= node.assigned_elsewhere;
    for (int input : node.inputs) {
      if (input >= 0 && !inside(graph.values[input].producer)) result.inputs.push_back(input);
    }
    for (int output : node.outputs) {
      if (output < 0) continue;
      const Value& value = graph.values[output];
      const bool leaves = value.is_graph_output || std::any_of(value.consumers.begin(), value.consumers.end(),
                                                               [&](int consumer) { return !inside(consumer); });
      if (leaves) result.outputs.push_back(output);
    }
  }
  // Activations first, as everywhere.
  std::stable_partition(result.inputs.begin(), result.inputs.end(),
                        [&](int input) { return !graph.values[input].is_constant; });
  return result;
}

}  // namespace

Atoms contract_units(const Graph& graph, RecognisedGraph recognised) {
  Atoms atoms;
  atoms.graph.name = graph.name;
  atoms.graph.values = graph.values;
  atoms.graph.inputs = graph.inputs;
  atoms.graph.outputs = graph.outputs;
  for (Value& value : atoms.graph.values) {
    value.producer = -1;
    value.consumers.clear();
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const int u = recognised.nodes[i].unit;
    if (u >= 0 && recognised.units[u].place != static_cast<int>(i)) continue;
    const int index = static_cast<int>(atoms.graph.nodes.size());
    atoms.graph.nodes.push_back(u >= 0 ? unit_node(graph, recognised.units[u]) : graph.nodes[i]);
    atoms.members.push_back(u >= 0 ? recognised.units[u].nodes : std::vector<int>{static_cast<int>(i)});
    atoms.main.push_back(u >= 0 ? recognised.units[u].main : static_cast<int>(i));
    atoms.recognised.nodes.push_back(std::move(recognised.nodes[i]));
    for (int input : atoms.graph.nodes.back().inputs) {
      if (input >= 0) atoms.graph.values[input].consumers.push_back(index);
    }
    for (int output : atoms.graph.nodes.back().outputs) {
      if (output >= 0) atoms.graph.values[output].producer = index;
    }
  }
  atoms.recognised.facts = std::move(recognised.facts);
  atoms.recognised.assumed = std::move(recognised.assumed);
  return atoms;
}

}  // namespace sparsecpu
