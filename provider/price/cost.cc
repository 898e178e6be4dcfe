#include "price/cost.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "facts/constants.h"
#include "graph/operators.h"
#include "price/layer_cost.h"
#include "price/quantized_cost.h"
#include "price/token_cost.h"

namespace sparsecpu {
namespace {

// Bytes instead of floats move a quarter.
double type_share(ElementType type) { return is_byte(type) ? 0.25 : 1.0; }

// Neither reads nor moves a value: the last axis stays, or there are no pixels to move.
bool only_relabels(const Shape& from, const Shape& to) {
  if (!from.empty() && !to.empty() && from.size() <= 3 && to.size() <= 3 && from.back() == to.back()) return true;
  const auto channels_only = [](const Shape& s) { return s.size() == 2 || (s.size() == 4 && s[2] * s[3] == 1); };
  return channels_only(from) && channels_only(to) && from[1] == to[1];
}

// What an op that is no layer reads and writes.
struct Traffic {
  const std::vector<Shape>& inputs;
  const Shape& output;
  ElementType from, to;

  int64_t values() const {
    int64_t moved = element_count(output);
    for (const Shape& input : inputs) moved += element_count(input);
    return moved;
  }
  double share() const { return 0.5 * (type_share(from) + type_share(to)); }
  double cpu_share() const { return is_byte(from) && is_byte(to) ? kCpuByteShare : share(); }
};

void price_rename(const Traffic& traffic, Isa isa, NodeCost* cost) {
  const double here =
      only_relabels(traffic.inputs[0], traffic.output)
          ? 0.0
          : 8.0 * traffic.share() * static_cast<double>(traffic.values()) / pass_speed(isa).convert * 1e-3;
  cost->cpu_us += kCallUs;  // ONNX Runtime only renames it
  cost->fused_cpu_us += kCallUs;
  cost->here_us += here;
  cost->fused_here_us += here;
}

// What a pass with a function takes, against a plain one; inside the kernel before it.
double passes(Work work, double quotient) {
  return work == Work::kFunction ? kTranscendental : work == Work::kQuotient ? quotient : 1.0;
}
double fused_passes(double passes) { return passes > 1 ? passes * kFusedHeavy : kFusedPass; }

// Passes over values, counted by the bytes that they move.
void price_pass(const Traffic& traffic, Work work, Isa isa, NodeCost* cost) {
  const double all = pass_us(traffic.values(), isa), pass = all * traffic.share();
  const double here = passes(work, kQuotient), cpu = passes(work, kCpuQuotient);
  cost->cpu_us += kCallUs + all * traffic.cpu_share() * cpu;
  cost->here_us += kStepUs + pass * here;
  cost->fused_here_us += pass * fused_passes(here);
  cost->fused_cpu_us += pass * fused_passes(cpu);
}

// The pixels under a pool's window, beside the pass.
void price_window(const Traffic& traffic, const WindowUse& use, Isa isa, NodeCost* cost) {
  const double taps = static_cast<double>(use.window.kernel[0] * use.window.kernel[1]);
  const double reads = pass_us(element_count(traffic.output), isa) * taps * 0.25 * traffic.share();
  cost->cpu_us += reads * traffic.cpu_share() / traffic.share() * (use.bytes ? kCpuByteAverage : 1.0);
  cost->here_us += reads;
}

// Of all but layers, which node_cost() prices by their zeros.
void price_op(const Op& op, const Traffic& traffic, Isa isa, NodeCost* cost) {
  switch (op.work()) {
    case Work::kLayer:
      return;
    case Work::kNorm:
      return price_norm(*op.moves(), traffic.inputs[0], isa, cost);
    case Work::kRename:
      return price_rename(traffic, isa, cost);
    case Work::kAttention:
      if (are_tokens(traffic.inputs)) return price_attention(*attention_of(op.data), traffic.inputs, isa, cost);
      return price_pass(traffic, Work::kPass, isa, cost);
    case Work::kWindow:
      price_pass(traffic, Work::kPass, isa, cost);
      return price_window(traffic, *op.window_use(), isa, cost);
    case Work::kFunction:
    case Work::kQuotient:
    case Work::kPass:
      return price_pass(traffic, op.work(), isa, cost);
  }
}

// The node before `node` whose kernel would take it in: it makes the first input and nobody else reads that.
const Node* node_before(const Graph& graph, const Node& node, int* index) {
  for (int input : node.inputs) {
    if (input < 0 || graph.values[input].is_constant) continue;
    *index = graph.values[input].producer;
    if (*index >= 0 && graph.values[input].consumers.size() == 1) return &graph.nodes[*index];
  }
  *index = -1;
  return nullptr;
}

// What the CPU provider fuses: Conv with Add and an activation, and the chains that make up Gelu and SiLU.
bool cpu_fuses(const Graph& graph, const Node& node) {
  int index = -1;
  const Node* before = node_before(graph, node, &index);
  if (before == nullptr) return false;
  const std::string &type = node.op, &prior = before->op;
  if (type == "Erf") return prior == "Div" || prior == "Mul";
  if (type == "Add" && prior == "Erf") return true;
  if (type == "Mul" && (prior == "Add" || prior == "Mul" || prior == "Sigmoid")) return true;
  if (prior == "Conv" || (prior == "Add" && type == "Relu")) {
    return type == "Relu" || type == "Clip" || type == "LeakyRelu" || type == "Sigmoid" || type == "Tanh" ||
           type == "HardSigmoid" || type == "Add" || type == "BatchNormalization";
  }
  return is_product(prior) && (type == "Relu" || type == "LeakyRelu" || type == "Sigmoid");
}

// The shape that prices count with; null where it is unknown, or of more elements than there can be.
const Shape* shape_of(const Table<ValueFacts>& facts, int value) {
  if (value < 0 || !facts[value].assumed || element_count(*facts[value].assumed) < 0) return nullptr;
  return &*facts[value].assumed;
}

// Shapes that were only assumed may not fit.
void try_shape(const Op& op, const std::vector<Shape>& inputs, std::map<int, Shape>* shapes) {
  try {
    if (Shape shape = output_shape(op, inputs); element_count(shape) >= 0) (*shapes)[op.output] = std::move(shape);
  } catch (const Error&) {
  }
}

}  // namespace

NodeCost node_cost(const Graph& graph, const Recognised& recognised, const Table<ValueFacts>& facts, int node,
                   Target target, WeightCounts* counts) {
  NodeCost cost;
  std::map<int, Shape> inside;  // of values between the Ops of a node
  bool in_layer = false;        // an activation of its own costs a layer nothing, here and on the CPU provider
  for (const Op& op : recognised.ops) {
    Layer layer;
    const auto* linear = std::get_if<Linear>(&op.data);
    if (linear != nullptr) count_weights(*linear, counts, &layer, &cost);
    layer.open = op.output >= 0 && facts[op.output].assumed != facts[op.output].probe;
    std::vector<Shape> inputs;
    for (int input : op.inputs) {
      const Shape* shape = input >= 0 ? shape_of(facts, input) : inside.count(input) > 0 ? &inside[input] : nullptr;
      if (shape != nullptr) inputs.push_back(*shape);
    }
    const bool complete = inputs.size() == op.inputs.size();
    if (op.output < 0 && complete) try_shape(op, inputs, &inside);
    const Shape* output = op.output >= 0                ? shape_of(facts, op.output)
                          : inside.count(op.output) > 0 ? &inside[op.output]
                                                        : nullptr;
    const auto* quantized = std::get_if<QuantizedLinear>(&op.data);
    if (quantized != nullptr) {
      const CpuProducts products = cpu_products(graph.nodes[node], *quantized);
      price_quantized_linear(*quantized, counts->of(quantized->weight), output, layer, products, target, &cost);
    }
    if (output == nullptr || !complete) return cost;
    if (quantized != nullptr || (in_layer && std::holds_alternative<Unary>(op.data))) continue;
    in_layer |= linear != nullptr;
    const int typed = op.inputs[0] >= 0 ? op.inputs[0] : graph.nodes[node].outputs[0];
    const ElementType type = graph.values[typed].type;
    if (linear != nullptr) price_linear(*linear, layer, *output, target, &cost);
    price_op(op, {inputs, *output, type, op.result_type(type)}, target.isa, &cost);
  }
  cost.known = true;
  const bool follows = node_before(graph, graph.nodes[node], &cost.before) != nullptr;
  cost.fuses_here = follows && recognised.ok() && recognised.ops[0].fuses();
  cost.fuses_on_cpu = cpu_fuses(graph, graph.nodes[node]);
  if (!cost.fuses_here) cost.fused_here_us = cost.here_us;
  if (!cost.fuses_on_cpu) cost.fused_cpu_us = cost.cpu_us;
  return cost;
}

EdgeCost edge_cost(const Graph& graph, const Table<ValueFacts>& facts, const CpuLayouts& layouts, int value, Isa isa) {
  const Shape* shape = shape_of(facts, value);
  if (shape == nullptr) return {};
  const double share = is_byte(graph.values[value].type) ? kEdgeByteShare : 1.0;
  const double convert =
      kEdgeUs + 8.0 * share * static_cast<double>(element_count(*shape)) / pass_speed(isa).convert * 1e-3;
  const auto with_own = [&](bool own) { return own ? 2 * convert : convert; };
  return {with_own(layouts.made[value]), with_own(layouts.read[value])};
}

}  // namespace sparsecpu
