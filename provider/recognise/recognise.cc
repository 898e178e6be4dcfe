#include "recognise/recognise.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "facts/assume.h"
#include "facts/constants.h"
#include "recognise/patterns/patterns.h"
#include "recognise/quantized.h"

namespace sparsecpu {
namespace {

// Types of the activations that an operator takes: its own recogniser checks kAny, and of kOperands, whose first input
// may be a constant, everything.
enum class Takes { kFloat, kFloatOrBytes, kAny, kOperands };
struct Entry {
  const char* op;  // operators.h
  const char* pattern;
  Recognised (*recognise)(const RecogniseContext&, const Node&);
  Takes takes = Takes::kFloat;
};

constexpr Entry kTable[] = {
    {"Conv", "conv", recognise_conv},
    {"MatMul", "matmul", recognise_matmul},
    {"Gemm", "gemm", recognise_gemm},
    {"Relu", "relu", recognise_activation},
    {"Clip", "clip", recognise_activation},
    {"LeakyRelu", "leaky relu", recognise_activation},
    {"PRelu", "leaky relu", recognise_activation},
    {"Sigmoid", "sigmoid", recognise_activation},
    {"HardSigmoid", "hard sigmoid", recognise_activation},
    {"HardSwish", "hard swish", recognise_activation},
    {"Swish", "silu", recognise_activation},
    {"Gelu", "gelu", recognise_activation},
    {"com.microsoft.Gelu", "gelu", recognise_activation},
    {"com.microsoft.FastGelu", "gelu", recognise_biased_gelu},
    {"com.microsoft.QuickGelu", "silu", recognise_activation},
    {"Tanh", "tanh", recognise_activation},
    {"Erf", "erf", recognise_activation},
    {"Add", "add", recognise_arithmetic},
    {"Sub", "sub", recognise_arithmetic},
    {"Mul", "mul", recognise_arithmetic},
    {"Div", "div", recognise_arithmetic},
    {"BatchNormalization", "batch norm", recognise_batch_norm},
    {"LayerNormalization", "layer norm", recognise_layer_norm},
    {"com.microsoft.SkipLayerNormalization", "layer norm", recognise_layer_norm},
    {"com.microsoft.BiasGelu", "gelu", recognise_biased_gelu},
    {"com.microsoft.FusedMatMul", "matmul", recognise_matmul},
    {"com.microsoft.FusedGemm", "gemm", recognise_fused_layer},
    {"com.microsoft.FusedConv", "conv", recognise_fused_layer},
    {"com.microsoft.MultiHeadAttention", "attention", recognise_attention},
    {"com.microsoft.Attention", "attention", recognise_attention},
    {"Attention", "attention", recognise_attention},
    {"Gather", "select token", recognise_select_token},
    {"MaxPool", "max pool", recognise_pool, Takes::kFloatOrBytes},
    {"AveragePool", "average pool", recognise_pool},
    {"GlobalAveragePool", "global average", recognise_global_average},
    {"ReduceMean", "global average", recognise_global_average},
    {"Pad", "pad", recognise_pad, Takes::kFloatOrBytes},
    {"Resize", "resize", recognise_resize, Takes::kFloatOrBytes},
    {"Concat", "concat", recognise_concat, Takes::kFloatOrBytes},
    {"Split", "split", recognise_split, Takes::kFloatOrBytes},
    {"Slice", "slice", recognise_slice, Takes::kFloatOrBytes},
    {"Reshape", "reshape", recognise_reshape, Takes::kFloatOrBytes},
    {"Flatten", "reshape", recognise_reshape, Takes::kFloatOrBytes},
    {"Squeeze", "reshape", recognise_reshape, Takes::kFloatOrBytes},
    {"Unsqueeze", "reshape", recognise_reshape, Takes::kFloatOrBytes},
    {"QuantizeLinear", "quantize", recognise_quantize, Takes::kAny},
    {"DequantizeLinear", "dequantize", recognise_quantize, Takes::kAny},
    {"QLinearConv", "qlinear conv", recognise_qlinear, Takes::kOperands},
    {"QLinearMatMul", "qlinear matmul", recognise_qlinear, Takes::kOperands},
    {"com.microsoft.QGemm", "qgemm", recognise_qlinear, Takes::kOperands},
    {"com.microsoft.QLinearAdd", "qlinear add", recognise_qlinear, Takes::kOperands},
    {"com.microsoft.QLinearMul", "qlinear mul", recognise_qlinear, Takes::kOperands},
    {"com.microsoft.QLinearSigmoid", "qlinear sigmoid", recognise_qlinear, Takes::kOperands},
    {"com.microsoft.QLinearLeakyRelu", "qlinear leaky relu", recognise_qlinear, Takes::kOperands},
    {"com.microsoft.QLinearSoftmax", "qlinear softmax", recognise_qlinear, Takes::kOperands},
    {"com.microsoft.QLinearConcat", "qlinear concat", recognise_qlinear, Takes::kOperands},
    {"com.microsoft.QLinearAveragePool", "qlinear average pool", recognise_qlinear, Takes::kOperands},
    {"com.microsoft.QLinearGlobalAveragePool", "qlinear global average", recognise_qlinear, Takes::kOperands},
};

std::string unsupported(const Node& node) {
  if (node.op_type == "MatMulNBits") return "weights of fewer than 8 bits in blocks are not supported";
  if (node.op == "ConvInteger" || node.op == "MatMulInteger") {
    return "its int32 result is not followed by a Cast to float32 and a Mul with a constant scale";
  }
  if (node.op == "DynamicQuantizeLinear") {
    return "its result is used by more than MatMulInteger or ConvInteger, with constant weights, Cast and Mul";
  }
  if (node.domain == "com.microsoft.nchwc") {
    return "the file was saved for this CPU's own layout: save it at ORT_ENABLE_EXTENDED or below, or as it was "
           "exported";
  }
  if (node.op == "Softmax") return "it is not the Softmax between the products of attention";
  if (!node.domain.empty()) return node.domain + "." + node.op_type + " is not an operator that runs here";
  const bool known_operator =
      std::any_of(std::begin(kTable), std::end(kTable), [&](const Entry& entry) { return node.op_type == entry.op; });
  if (!known_operator) return node.op_type + " is not an operator that runs here";
  return node.op_type + " of opset " + std::to_string(node.since_version) + " is not supported";
}

// What holds for every operator in the table: one float activation in, float out.
std::string activation_problem(const RecogniseContext& context, const Node& node, Takes takes) {
  if (node.inputs[0] < 0 || node.outputs[0] < 0) {
    return "it lacks an input or output";
  }
  bool any_activation = false;
  for (int index : node.inputs) any_activation |= index >= 0 && !context.value(index).is_constant;
  if (!any_activation) {
    return node.op == "DequantizeLinear" ? "of a constant: it runs here only as a part of the node that reads it"
                                         : "all its inputs are constant: constant folding computes it once";
  }
  for (int index : {node.inputs[0], node.outputs[0]}) {
    const Value& value = context.value(index);
    if (value.is_constant && index == node.inputs[0]) continue;  // the recogniser says what it thinks of it
    const bool fits = value.type == ElementType::kFloat || (takes == Takes::kFloatOrBytes && is_byte(value.type));
    if (takes != Takes::kAny && takes != Takes::kOperands && !fits) {
      return "its activations are " + std::string(element_type_name(value.type)) + "; only " +
             (takes == Takes::kFloatOrBytes ? "float32, uint8 and int8 are" : "float32 is") + " supported";
    }
  }
  return "";
}

// An image is no list of tokens: where a node reads one as the other, it is left alone.
std::string axes_problem(const RecogniseContext& context, const Recognised& recognised) {
  for (const Op& op : recognised.ops) {
    const std::optional<Axes> own = op.own_axes();
    for (int input : op.inputs) {
      if (input < 0) continue;
      const std::optional<Axes> have = context.facts[input].axes;
      if (own && have && *own != *have) return "it takes an image for a list of tokens, or the other way round";
      const std::optional<LinearShape> layer = op.layer();
      if (layer && layer->transposed_input && context.value(input).producer >= 0) {
        return "transA is supported on inputs of the model only";
      }
    }
  }
  return "";
}

bool takes_constant_first(const Node& node) {
  return node.op == "MatMul" || node.op == "Gemm" || node.op == "Add" || node.op == "Sub" || node.op == "Mul" ||
         node.op == "Div";
}

std::string attribute_problem(const Node& node) {
  const std::string* nan = node.nan_attribute();
  return nan != nullptr ? "attribute '" + *nan + "' is NaN" : "";
}

Recognised recognise_node(const RecogniseContext& context, int index) {
  const Node& node = context.graph.nodes[index];
  const auto entry = std::find_if(std::begin(kTable), std::end(kTable),
                                  [&](const Entry& candidate) { return node.op == candidate.op; });
  if (entry == std::end(kTable)) return decline(unsupported(node));
  Recognised result;
  std::string problem = attribute_problem(node);
  if (problem.empty()) problem = activation_problem(context, node, entry->takes);
  if (!problem.empty())
    result = decline(problem);
  else if (context.value(node.inputs[0]).is_constant && !takes_constant_first(node) && entry->takes != Takes::kOperands)
    result = decline("its input is a constant");
  else
    result = entry->recognise(context, node);
  if (const std::string mixed = axes_problem(context, result); !mixed.empty()) result = decline(mixed);
  result.pattern = entry->pattern;
  name_ops(context.graph, index, &result);
  return result;
}

}  // namespace

namespace {

// Size `axis` of a list of sizes, -1: it has none.
int64_t size_of(const std::vector<int64_t>& dims, int axis) {
  return axis >= 0 && axis < static_cast<int>(dims.size()) ? dims[static_cast<size_t>(axis)] : -1;
}

// The sizes of an axis in both sets of facts; nothing if one of them has no such axis.
std::optional<std::pair<int64_t, int64_t>> believed_sizes(const ValueFacts& fact, int axis) {
  if (!fact.assumed || !fact.probe || size_of(*fact.assumed, axis) < 0 || size_of(*fact.probe, axis) < 0) return {};
  return std::pair(size_of(*fact.assumed, axis), size_of(*fact.probe, axis));
}

}  // namespace

int RecogniseContext::rank(int index) const {
  if (const Value& v = value(index); v.is_constant)
    return static_cast<int>(v.constant.dims.size());
  else if (v.has_shape)
    return static_cast<int>(v.dims.size());
  return facts[index].probe ? static_cast<int>(facts[index].probe->size()) : -1;
}

int64_t RecogniseContext::static_dim(int index, int axis) const {
  const Value& v = value(index);
  if (v.has_shape && size_of(v.dims, axis) >= 0) return size_of(v.dims, axis);
  // No symbol has the same size in both sets, so a size that agrees depends on none.
  const auto sizes = believed_sizes(facts[index], axis);
  return sizes && sizes->first == sizes->second ? sizes->first : -1;
}

int64_t RecogniseContext::proven_dim(int index, int axis) const {
  const ValueFacts& fact = facts[index];
  if (!fact.assumed || !fact.proof || fact.assumed->size() != fact.proof->size()) return -1;
  const int64_t size = size_of(*fact.proof, axis);
  return size == size_of(*fact.assumed, axis) ? size : -1;
}

Shape RecogniseContext::proven_dims(int index) const {
  Shape shape;
  for (int axis = 0; axis < rank(index); ++axis) shape.push_back(proven_dim(index, axis));
  return shape;
}

std::optional<float> RecogniseContext::static_number(int index) const {
  const ValueFacts& fact = facts[index];
  const bool known = fact.proof_numbers && fact.proof_numbers->size() == 1;
  if (!known || fact.assumed_numbers != fact.proof_numbers) return std::nullopt;
  return static_cast<float>(fact.proof_numbers->front());
}

bool same_dim(const RecogniseContext& context, int a, int axis_a, int b, int axis_b) {
  const int64_t static_a = context.static_dim(a, axis_a), static_b = context.static_dim(b, axis_b);
  if (static_a >= 0 && static_b >= 0) return static_a == static_b;
  const auto sizes_a = believed_sizes(context.facts[a], axis_a), sizes_b = believed_sizes(context.facts[b], axis_b);
  return sizes_a && sizes_a == sizes_b;
}

bool same_shape(const RecogniseContext& context, int a, int b) {
  if (a == b) return true;
  const int rank = context.rank(a);
  if (rank < 0 || rank != context.rank(b)) return false;
  for (int axis = 0; axis < rank; ++axis) {
    if (!same_dim(context, a, axis, b, axis)) return false;
  }
  return true;
}

void name_ops(const Graph& graph, int main, Recognised* recognised) {
  for (Op& op : recognised->ops) {
    if (op.node < 0) op.node = main;
    const Node& node = graph.nodes[op.node];
    op.name = node.name.empty() ? node.op_type + " #" + std::to_string(op.node) : node.name;
  }
}

Recognised decline(std::string reason) { return {"", std::move(reason), {}, -1}; }

Recognised accept(OpData data, std::vector<int> inputs, int output) {
  Recognised result;
  result.ops.push_back(Op{std::move(data), std::move(inputs), output, -1, ""});
  return result;
}

namespace {

// Its nodes as one unit, if they are free and it is what it looks like; else its main node says why not.
void take_pattern(const RecogniseContext& context, Pattern pattern, AssumedShapes* shapes, RecognisedGraph* result) {
  Recognised& meaning = pattern.meaning;
  // Smaller units are given up if they are wholly inside.
  const std::vector<int>& nodes = pattern.unit.nodes;
  const auto is_free = [&](int node) {
    const int unit = result->nodes[node].unit;
    if (unit < 0) return true;
    const std::vector<int>& taken = result->units[unit].nodes;
    return std::includes(nodes.begin(), nodes.end(), taken.begin(), taken.end());
  };
  if (!std::all_of(nodes.begin(), nodes.end(), is_free)) return;
  if (meaning.reason.empty()) meaning.reason = axes_problem(context, meaning);
  if (meaning.reason.empty()) meaning.reason = shapes->propagate(context.graph.nodes[pattern.unit.place], meaning.ops);
  if (!meaning.reason.empty()) {
    Recognised& main = result->nodes[pattern.unit.main];
    if (!main.ok() && main.unit < 0) main = {meaning.pattern, meaning.reason, {}, -1};
    return;
  }
  name_ops(context.graph, pattern.unit.main, &meaning);
  for (int member : pattern.unit.nodes)
    result->nodes[member] = {meaning.pattern, "", {}, static_cast<int>(result->units.size())};
  result->nodes[pattern.unit.place].ops = std::move(meaning.ops);
  result->units.push_back(std::move(pattern.unit));
}

}  // namespace

RecognisedGraph recognise_graph(const Graph& graph, const SymbolSizes& given) {
  RecognisedGraph result;
  result.facts.resize(graph.values.size());
  result.nodes.resize(graph.nodes.size());
  result.units = find_units(graph);
  std::vector<int> placed(graph.nodes.size(), -1);  // the unit whose place a node is
  for (size_t u = 0; u < result.units.size(); ++u) placed[result.units[u].place] = static_cast<int>(u);
  AssumedShapes shapes(graph, given, &result.facts);
  const RecogniseContext context{graph, result.facts};
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    Recognised& recognised = result.nodes[i];
    if (recognised.unit >= 0) continue;
    for (int input : node.inputs) shapes.ensure(input);
    std::string refusal;
    if (const int u = placed[i]; u >= 0) {
      const Unit unit = result.units[u];
      if (unit.main == unit.place) shapes.propagate(node, {});  // inner values of the bytes' shape
      Recognised whole = recognise_unit(context, unit);
      if (const std::string mixed = axes_problem(context, whole); !mixed.empty())
        whole.reason = mixed, whole.ops.clear();
      const bool taken =
          std::any_of(unit.nodes.begin(), unit.nodes.end(), [&](int n) { return result.nodes[n].unit >= 0; });
      if (taken) whole = decline("a part of it belongs to the attention before it");
      if (whole.ok()) whole.reason = shapes.propagate(node, whole.ops);
      if (whole.reason.empty()) {
        for (int member : unit.nodes) result.nodes[member] = {whole.pattern, "", {}, u};
        recognised.ops = std::move(whole.ops);
        continue;
      }
      refusal = whole.reason;
    }
    recognised = recognise_node(context, static_cast<int>(i));
    const std::string problem = shapes.propagate(node, recognised.ops);
    if (!problem.empty()) recognised = {recognised.pattern, problem, {}, -1};
    if (auto pattern = match_pattern(context, static_cast<int>(i)))
      take_pattern(context, std::move(*pattern), &shapes, &result);
    if (!refusal.empty() && !result.nodes[result.units[placed[i]].main].ok()) {
      result.nodes[result.units[placed[i]].main].reason = refusal;
    }
  }
  join_dequantizers(graph, &result);
  result.assumed = shapes.symbols();
  return result;
}

}  // namespace sparsecpu
