#include "claim/neighbours.h"

#include <algorithm>

#include "graph/operators.h"

namespace sparsecpu {
namespace {

bool is_limit(const Node& node) { return node.op == "Relu" || node.op == "Clip"; }

// By op_type: onnxruntime takes those of com.microsoft for the same.
bool is_dequantized(const Graph& graph, int value) {
  const int maker = graph.producer(value);
  return maker >= 0 && graph.nodes[maker].op_type == "DequantizeLinear";
}

// Whether all that reads the node's value quantizes it, if need be behind a Relu or Clip that onnxruntime may drop.
bool is_quantized(const Graph& graph, int value, bool limited = false) {
  const IndexList& readers = graph.values[value].consumers;
  return !readers.empty() && std::all_of(readers.begin(), readers.end(), [&](int reader) {
    const Node& node = graph.nodes[reader];
    if (node.op_type == "QuantizeLinear") return true;
    return !limited && is_limit(node) && is_quantized(graph, node.outputs[0], true);
  });
}

// Whether the CPU provider computes the node in integers, given what is before and behind it.
bool in_integers(const Graph& graph, const Node& node) {
  bool dequantized = false;
  for (int input : node.inputs) {
    if (input < 0 || graph.values[input].is_constant) continue;
    if (!is_dequantized(graph, input)) return false;
    dequantized = true;
  }
  return dequantized && std::all_of(node.outputs.begin(), node.outputs.end(), [&](int output) {
           return output < 0 || is_product(node.op) || is_quantized(graph, output);
         });
}

// A product of which onnxruntime may make one of bytes, for all that it makes floats: MatMulIntegerToFloat,
// MatMulNBits, QGemm. As an atom it may hold its DequantizeLinears.
bool is_product_of_bytes(const Graph& graph, const Node& node) {
  return is_product(node.op) && std::any_of(node.inputs.begin(), node.inputs.end(), [&](int input) {
           return input >= 0 && (is_byte(graph.values[input].type) || is_dequantized(graph, input));
         });
}

// Nodes that read it. Of outputs of the graph onnxruntime takes no notice here.
size_t count_readers(const Graph& graph, int value) { return graph.values[value].consumers.size(); }

}  // namespace

int goes_with(const Graph& graph, const Node& node) {
  int made = node.inputs[0];  // by the neighbour
  const Node* limit = is_limit(node) ? &node : nullptr;
  if (node.op == "QuantizeLinear") {
    const int before = graph.producer(made);
    if (before >= 0 && is_limit(graph.nodes[before])) limit = &graph.nodes[before];
    if (limit != nullptr) made = limit->inputs[0];
  } else if (limit == nullptr) {
    return -1;
  }
  const int neighbour = graph.producer(made);
  if (neighbour < 0 || graph.values[made].type != ElementType::kFloat) return -1;
  if (is_quantized(graph, made) && in_integers(graph, graph.nodes[neighbour])) return neighbour;
  const bool is_seen =
      limit == nullptr || (count_readers(graph, made) == 1 && count_readers(graph, limit->outputs[0]) <= 1);
  return is_seen && is_product_of_bytes(graph, graph.nodes[neighbour]) ? neighbour : -1;
}

Check check_separable(const Graph& graph, const std::vector<bool>& candidate, const Node& node) {
  IndexList neighbours;
  if (const int before = goes_with(graph, node); before >= 0) neighbours = {before};
  if (node.op == "DequantizeLinear") {
    for (int reader : graph.values[node.outputs[0]].consumers) {
      const Node& other = graph.nodes[reader];
      if (in_integers(graph, other) || is_product_of_bytes(graph, other)) neighbours.push_back(reader);
    }
  }
  const auto elsewhere = std::find_if(neighbours.begin(), neighbours.end(), [&](int i) { return !candidate[i]; });
  if (elsewhere == neighbours.end()) return {};
  return decline(left_behind_reason(graph, graph.nodes[*elsewhere]));
}

int product_limited_by(const Graph& graph, const Node& node) {
  if (!is_limit(node) || count_readers(graph, node.inputs[0]) != 1) return -1;
  const int product = graph.producer(node.inputs[0]);
  return product >= 0 && is_product_of_bytes(graph, graph.nodes[product]) ? product : -1;
}

std::string left_behind_reason(const Graph& graph, const Node& neighbour) {
  return "it goes with " + neighbour.op_type + " '" + neighbour.name + "', which the CPU provider " +
         (in_integers(graph, neighbour) ? "computes in integers" : "runs in another form without it");
}

}  // namespace sparsecpu
