#include "price/form_loss.h"

#include <algorithm>
#include <optional>

#include "graph/operators.h"
#include "pack/speeds.h"
#include "price/arithmetic.h"
#include "price/layer_cost.h"

namespace sparsecpu {
namespace {

class Pairs {
 public:
  Pairs(const Graph& graph, const Table<Recognised>& recognised) : graph_(graph), recognised_(recognised) {}

  // The int8 values around a node that would be uint8 on the CPU provider, if all would. Adds the nodes that make and
  // read them.
  std::optional<std::vector<int>> around(int node, std::vector<int>* neighbours) const {
    std::vector<int> values;
    for (int input : graph_.nodes[node].inputs) {
      if (input < 0 || graph_.values[input].is_constant) continue;
      const int value = before(input);
      if (value >= 0 && graph_.values[value].is_constant) continue;
      if (!is_pair(value)) return std::nullopt;
      values.push_back(value);
      neighbours->push_back(graph_.producer(value));
    }
    if (values.empty()) return std::nullopt;
    for (int output : graph_.nodes[node].outputs) {
      const int value = output < 0 ? -1 : behind(output);
      if (value < 0 && is_product(graph_.nodes[node].op)) continue;
      if (!is_pair(value)) return std::nullopt;
      values.push_back(value);
      neighbours->push_back(graph_.values[value].consumers[0]);
    }
    return values;
  }

 private:
  // The bytes that an input is made of, -1: none.
  int before(int input) const {
    if (is_byte(graph_.values[input].type)) return input;
    const int dequantize = made_by(graph_, input, "DequantizeLinear");
    return dequantize < 0 ? -1 : graph_.nodes[dequantize].inputs[0];
  }

  // The bytes that are made of an output, -1: none.
  int behind(int output) const {
    const Value& value = graph_.values[output];
    if (is_byte(value.type)) return output;
    if (value.is_graph_output || value.consumers.size() != 1) return -1;
    const Node& reader = graph_.nodes[value.consumers[0]];
    return reader.op == "QuantizeLinear" ? reader.outputs[0] : -1;
  }

  bool is_pair(int value) const {
    if (value < 0) return false;
    const Value& bytes = graph_.values[value];
    if (bytes.type != ElementType::kInt8 || bytes.is_graph_output || bytes.producer < 0 || bytes.consumers.size() != 1)
      return false;
    const auto is = [&](int node, const char* op) {
      return recognised_[node].unit >= 0 || graph_.nodes[node].op_type == op;
    };
    return is(bytes.producer, "QuantizeLinear") && is(bytes.consumers[0], "DequantizeLinear");
  }

  const Graph& graph_;
  const Table<Recognised>& recognised_;
};

// In floats instead of bytes, with the conversions of `values` elements and of the weights.
double loss_us(const NodeCost& cost, double multiply_adds, int64_t values, size_t conversions, Isa isa) {
  const LayerSpeed &floats = layer_speed(isa, /*bytes=*/false), &bytes = layer_speed(isa, /*bytes=*/true);
  const double convert = pass_us(values + cost.dense_bytes, isa) + kCallUs * static_cast<double>(conversions);
  if (multiply_adds <= 0) return convert + pass_us(values, isa);
  const bool depthwise = cost.form == LayerForm::kDepthwise && cost.linear;
  const double work = 2e-3 * multiply_adds;
  const double in_floats = work / (depthwise ? floats.depthwise_cpu : floats.cpu);
  const double in_bytes = work / (depthwise ? bytes.depthwise_cpu : bytes.cpu);
  return convert + std::max(0.0, in_floats - in_bytes);
}

}  // namespace

void price_form_losses(const Graph& graph, const Table<Recognised>& recognised, const Table<ValueFacts>& facts, Isa isa,
                       std::vector<NodeCost>* costs) {
  const Pairs pairs(graph, recognised);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == "QuantizeLinear" || node.op == "DequantizeLinear") continue;
    NodeCost& cost = (*costs)[i];
    FormLoss loss;
    const auto values = pairs.around(static_cast<int>(i), &loss.neighbours);
    if (!values) continue;
    int64_t elements = 0;
    for (int value : *values) {
      if (facts[value].assumed) elements += std::max<int64_t>(0, element_count(*facts[value].assumed));
    }
    const double multiply = cost.multiply_adds > 0 ? cost.multiply_adds : multiply_adds(graph, facts, node);
    loss.us = loss_us(cost, multiply, elements, values->size(), isa);
    cost.form_loss = std::move(loss);
  }
}

}  // namespace sparsecpu
