#include "claim/cost.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/memory.h"
#include "claim/layer_cost.h"
#include "facts/constants.h"
#include "recognise/quantized.h"

namespace sparsecpu {
namespace {

// How n images of h x w pixels are cut into 16 lanes, over images, rows and columns.
struct LaneSplit {
  int64_t groups = 1, step_h = 1, step_w = 1;  // positions of a lane
  int64_t vectors() const { return groups * step_h * step_w; }
};
LaneSplit split_lanes(int64_t n, int64_t h, int64_t w) {
  LaneSplit best;
  int64_t fewest = INT64_MAX;
  for (int64_t images = 1; images <= 16; images *= 2) {
    for (int64_t rows = 1; images * rows <= 16; rows *= 2) {
      const LaneSplit split{ceil_div(n, images), ceil_div(h, rows), ceil_div(w, 16 / (images * rows))};
      if (split.vectors() >= fewest) continue;
      fewest = split.vectors();
      best = split;
    }
  }
  return best;
}

// Vectors of the input that a wide window copies at the borders of lanes. Fewer are part of a layer's measured time.
int64_t border_vectors(const Window& window, const LaneSplit& split) {
  constexpr int64_t kWide = 8;  // times the image itself
  const auto reach = [&](int axis, int64_t step) {
    return (step - 1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1;
  };
  const int64_t inside = window.stride[0] * split.step_h * window.stride[1] * split.step_w;
  const int64_t all = reach(0, split.step_h) * reach(1, split.step_w);
  return all > kWide * inside ? split.groups * (all - inside) : 0;
}

}  // namespace

void place_layer(const Linear& linear, const Shape& output, Layer* layer) {
  layer->positions = element_count(output) / std::max<int64_t>(1, linear.out_channels);
  if (linear.axes == Axes::kImage) {
    const int64_t h = output.size() == 4 ? output[2] : 1;
    const LaneSplit split = split_lanes(output[0], h, output.back());
    layer->vectors = split.vectors();
    layer->border_vectors = border_vectors(linear.window, split) * linear.in_channels;
  } else {
    layer->vectors = ceil_div(layer->positions, 16);
  }
  if (layer->positions > 0) layer->waste = 16.0 * layer->vectors / layer->positions;
}

bool runs_few_rows(const Linear& linear, const Layer& layer, const Shape& output) {
  const bool channels_last = linear.axes == Axes::kTokens || layer.positions <= output[0];
  return channels_last && layer.positions < kFewRows && linear.window.kernel == std::array<int64_t, 2>{1, 1};
}

FewRowsTime few_rows_time(const LayerWork& work, double stored, const Layer& layer, Isa isa) {
  const bool sparse = few_rows_are_sparse(work, stored, layer.open ? -1 : layer.positions, isa);
  return {
      sparse ? few_rows_sparse_us(work, stored, layer.positions, isa) : few_rows_dense_us(work, layer.positions, isa),
      sparse};
}

double border_us(const Layer& layer, Isa isa) {
  return 2.0 * 16 * sizeof(float) * static_cast<double>(layer.border_vectors) / pass_speed(isa).convert * 1e-3;
}

double conv_call_us(const Linear& linear, const Layer& layer, double output_ns) {
  if (linear.axes == Axes::kTokens) return kCallUs;
  return kConvUs + output_ns * static_cast<double>(layer.positions * linear.out_channels) * 1e-3;
}

std::string situation(const Linear& linear, const Layer& layer, const Shape& output) {
  if (linear.axes == Axes::kTokens) {
    return "a matrix product of " + std::to_string(layer.positions) + (layer.positions == 1 ? " row" : " rows");
  }
  const auto& kernel = linear.window.kernel;
  const std::string size = output.size() == 4 ? std::to_string(output[2]) + "x" + std::to_string(output[3])
                                              : std::to_string(output.back()) + " positions";
  return "a " + std::to_string(kernel[0]) + "x" + std::to_string(kernel[1]) + " convolution at " + size;
}

namespace {

LayerWork work_of(const Linear& linear, const Layer& layer) {
  return {false, linear.out_channels, linear.weight.channels * linear.weight.taps, layer.vectors};
}

void price_few_rows(const Linear& linear, const Layer& layer, Target target, NodeCost* cost) {
  const LayerWork work = work_of(linear, layer);
  cost->cpu_us = kCallUs + few_rows_cpu_us(work, layer.positions, target.isa, !target.cached);
  cost->needed_sparsity = 1 - few_rows_share(/*bytes=*/false, layer.positions);
  const FewRowsTime time = few_rows_time(work, static_cast<double>(layer.nonzeros), layer, target.isa);
  cost->here_us = time.us;
  cost->kernel = time.sparse ? "sparse" : "dense";
}

void price_many_rows(const Linear& linear, const Layer& layer, Target target, NodeCost* cost) {
  const double flops = 2.0 * static_cast<double>(layer.weights) * static_cast<double>(layer.positions);
  const bool thin = linear.groups > 1 && linear.weight.channels < kThinGroup;
  const LayerSpeed& speed = layer_speed(target.isa, /*bytes=*/false);
  cost->cpu_us = conv_call_us(linear, layer, speed.cpu_end) + flops / speed.cpu * (thin ? kThinSlowdown : 1.0) * 1e-3;
  const LayerWork work = work_of(linear, layer);
  if (linear.axes == Axes::kTokens && !target.cached && target.isa < Isa::kAvx512) {  // rows hardly hide the reading
    cost->cpu_us =
        std::max(cost->cpu_us, kCallUs + few_rows_cpu_us(work, layer.positions, target.isa, /*remote=*/true));
  }
  const double sparse = sparse_us(work, static_cast<double>(layer.nonzeros), target);
  cost->needed_sparsity = 1 - break_even(work, worth_us(cost->cpu_us, target, /*bytes=*/false), target);
  const double dense = linear.groups > 1 ? HUGE_VAL : dense_us(work, target.isa);
  cost->here_us = std::min(sparse, dense) + border_us(layer, target.isa);
  cost->kernel = sparse < dense ? "sparse" : "dense";
}

void count_weights(const Linear& linear, WeightCounts* counts, Layer* layer, NodeCost* cost) {
  layer->nonzeros = counts->of(linear.weight).nonzeros;
  cost->finite = counts->of(linear.weight).finite;
  layer->weights = linear.weight.rows * linear.weight.channels * linear.weight.taps;
  cost->linear = true;
  cost->dense_bytes = layer->weights * static_cast<int64_t>(sizeof(float));
  cost->sparsity = 1.0 - static_cast<double>(layer->nonzeros) / static_cast<double>(layer->weights);
}

void price_linear(const Linear& linear, Layer layer, const Shape& output, Target target, NodeCost* cost) {
  place_layer(linear, output, &layer);
  cost->multiply_adds = static_cast<double>(layer.weights) * static_cast<double>(layer.positions);
  cost->situation = situation(linear, layer, output);
  if (is_depthwise(linear)) {
    const LayerSpeed& speed = layer_speed(target.isa, /*bytes=*/false);
    const double flops = 2.0 * static_cast<double>(layer.weights) * static_cast<double>(layer.positions);
    cost->cpu_us = conv_call_us(linear, layer, speed.cpu_end) + flops / speed.depthwise_cpu * 1e-3;
    cost->here_us = flops * layer.waste / speed.depthwise * 1e-3;
    cost->kernel = "depthwise";
    return;  // its zeros are not used: alone it is no reason to claim
  }
  if (runs_few_rows(linear, layer, output))
    price_few_rows(linear, layer, target, cost);
  else
    price_many_rows(linear, layer, target, cost);
  cost->sparse_wins = cost->kernel == "sparse" && cost->sparsity > 0 && cost->sparsity >= cost->needed_sparsity;
}

}  // namespace

double worth_us(double cpu_us, Target target, bool bytes) {
  return generates_code(target, bytes) ? cpu_us * kWorthOfCode : cpu_us;
}

double pass_us(int64_t values, Isa isa) { return 4.0 * static_cast<double>(values) / pass_speed(isa).cache * 1e-3; }

namespace {

// Bytes instead of floats move a quarter.
double type_share(ElementType type) { return is_byte(type) ? 0.25 : 1.0; }

bool is_transcendental(const OpData& data) {
  const auto* unary = std::get_if<Unary>(&data);
  if (unary == nullptr) return false;
  return unary->kind != UnaryKind::kRelu && unary->kind != UnaryKind::kClip && unary->kind != UnaryKind::kLeakyRelu &&
         unary->kind != UnaryKind::kHardSigmoid && unary->kind != UnaryKind::kHardSwish;
}

// Neither reads nor moves a value: the last axis stays, or there are no pixels to move.
bool only_relabels(const Shape& from, const Shape& to) {
  if (!from.empty() && !to.empty() && from.size() <= 3 && to.size() <= 3 && from.back() == to.back()) return true;
  const auto channels_only = [](const Shape& s) { return s.size() == 2 || (s.size() == 4 && s[2] * s[3] == 1); };
  return channels_only(from) && channels_only(to) && from[1] == to[1];
}

// Everything but Linear: passes over values, counted by the bytes that they move.
void price_pass(const Op& op, const std::vector<Shape>& inputs, const Shape& output, ElementType input_type, Isa isa,
                NodeCost* cost) {
  int64_t moved = element_count(output);
  for (const Shape& input : inputs) moved += element_count(input);
  const ElementType result_type = output_type(op.data, input_type);
  const double share = 0.5 * (type_share(input_type) + type_share(result_type));
  const double cpu_share = is_byte(input_type) && is_byte(result_type) ? kCpuByteShare : share;
  if (std::holds_alternative<Reshape>(op.data)) {
    const double here = only_relabels(inputs[0], output)
                            ? 0.0
                            : 8.0 * share * static_cast<double>(moved) / pass_speed(isa).convert * 1e-3;
    cost->cpu_us += kCallUs;  // ONNX Runtime only renames it
    cost->fused_cpu_us += kCallUs;
    cost->here_us += here;
    cost->fused_here_us += here;
    return;
  }
  const double pass = pass_us(moved, isa) * share;
  const double heavy = is_transcendental(op.data) ? kTranscendental : 1.0;
  cost->cpu_us += kCallUs + pass_us(moved, isa) * cpu_share * heavy;
  cost->here_us += kStepUs + pass * heavy;
  const double fused = pass * (is_transcendental(op.data) ? kTranscendental * kFusedHeavy : kFusedPass);
  cost->fused_here_us += fused;
  cost->fused_cpu_us += fused;
  if (const auto* pool = std::get_if<Pool>(&op.data)) {
    const double taps = static_cast<double>(pool->window.kernel[0] * pool->window.kernel[1]);
    const double reads = pass_us(element_count(output), isa) * taps * 0.25 * share;
    const bool slow = pool->bytes.has_value();
    cost->cpu_us += reads * cpu_share / share * (slow ? kCpuByteAverage : 1.0);
    cost->here_us += reads;
  }
}

bool is_elementwise(const OpData& data) {
  return std::holds_alternative<Unary>(data) || std::holds_alternative<Binary>(data) ||
         std::holds_alternative<Affine>(data) || std::holds_alternative<Quantize>(data) ||
         std::holds_alternative<QuantizedAdd>(data) || std::holds_alternative<Lookup>(data);
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
  return (prior == "Gemm" || prior == "MatMul") && (type == "Relu" || type == "LeakyRelu" || type == "Sigmoid");
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
      price_quantized_linear(*quantized, counts->of(quantized->weight), output, layer, target, &cost);
    }
    if (output == nullptr || !complete) return cost;
    if (quantized != nullptr || (in_layer && std::holds_alternative<Unary>(op.data))) continue;
    in_layer |= linear != nullptr;
    const int typed = op.inputs[0] >= 0 ? op.inputs[0] : graph.nodes[node].outputs[0];
    const ElementType type = graph.values[typed].type;
    if (linear != nullptr) {
      price_linear(*linear, layer, *output, target, &cost);
    } else if (!price_tokens(op, inputs, target.isa, &cost)) {
      price_pass(op, inputs, *output, type, target.isa, &cost);
    }
  }
  cost.known = true;
  const bool follows = node_before(graph, graph.nodes[node], &cost.before) != nullptr;
  cost.fuses_here = follows && recognised.ok() && is_elementwise(recognised.ops[0].data);
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
