#include "claim/recognise.h"

#include <algorithm>
#include <climits>

#include "base/error.h"
#include "claim/assume.h"
#include "claim/constants.h"
#include "claim/patterns.h"
#include "claim/quantized.h"

namespace sparsecpu {
namespace {

// Types of the activations that an operator takes: its own recogniser checks kAny.
enum class Takes { kFloat, kFloatOrBytes, kAny };
struct Entry {
  const char* domain;
  const char* op_type;
  int first_version, last_version;
  const char* pattern;
  Recognised (*recognise)(const RecogniseContext&, const Node&);
  Takes takes = Takes::kFloat;
};

constexpr const char* kMicrosoft = "com.microsoft";
// An operator may have several rows, for different opsets.
constexpr Entry kTable[] = {
    {"", "Conv", 1, INT_MAX, "conv", recognise_conv},
    {"", "MatMul", 1, INT_MAX, "matmul", recognise_matmul},
    {"", "Gemm", 7, INT_MAX, "gemm", recognise_gemm},
    {"", "Relu", 6, INT_MAX, "relu", recognise_activation},
    {"", "Clip", 6, INT_MAX, "clip", recognise_activation},
    {"", "LeakyRelu", 6, INT_MAX, "leaky relu", recognise_activation},
    {"", "PRelu", 7, INT_MAX, "leaky relu", recognise_activation},
    {"", "Sigmoid", 6, INT_MAX, "sigmoid", recognise_activation},
    {"", "HardSigmoid", 6, INT_MAX, "hard sigmoid", recognise_activation},
    {"", "HardSwish", 14, INT_MAX, "hard swish", recognise_activation},
    {"", "Swish", 24, INT_MAX, "silu", recognise_activation},
    {"", "Gelu", 20, INT_MAX, "gelu", recognise_activation},
    {kMicrosoft, "Gelu", 1, INT_MAX, "gelu", recognise_activation},
    {kMicrosoft, "FastGelu", 1, INT_MAX, "gelu", recognise_biased_gelu},
    {kMicrosoft, "QuickGelu", 1, INT_MAX, "silu", recognise_activation},
    {"", "Tanh", 6, INT_MAX, "tanh", recognise_activation},
    {"", "Erf", 9, INT_MAX, "erf", recognise_activation},
    {"", "Add", 7, INT_MAX, "add", recognise_arithmetic},
    {"", "Sub", 7, INT_MAX, "sub", recognise_arithmetic},
    {"", "Mul", 7, INT_MAX, "mul", recognise_arithmetic},
    {"", "Div", 7, INT_MAX, "div", recognise_arithmetic},
    {"", "BatchNormalization", 7, INT_MAX, "batch norm", recognise_batch_norm},
    {"", "LayerNormalization", 1, INT_MAX, "layer norm", recognise_layer_norm},
    {kMicrosoft, "SkipLayerNormalization", 1, INT_MAX, "layer norm", recognise_layer_norm},
    {kMicrosoft, "BiasGelu", 1, INT_MAX, "gelu", recognise_biased_gelu},
    {kMicrosoft, "FusedMatMul", 1, INT_MAX, "matmul", recognise_matmul},
    {kMicrosoft, "FusedGemm", 1, INT_MAX, "gemm", recognise_fused_layer},
    {kMicrosoft, "FusedConv", 1, INT_MAX, "conv", recognise_fused_layer},
    {kMicrosoft, "MultiHeadAttention", 1, INT_MAX, "attention", recognise_attention},
    {kMicrosoft, "Attention", 1, INT_MAX, "attention", recognise_attention},
    {"", "Attention", 23, INT_MAX, "attention", recognise_attention},
    {"", "Gather", 1, INT_MAX, "select token", recognise_select_token},
    {"", "MaxPool", 1, INT_MAX, "max pool", recognise_pool, Takes::kFloatOrBytes},
    {"", "AveragePool", 7, INT_MAX, "average pool", recognise_pool},
    {"", "GlobalAveragePool", 1, INT_MAX, "global average", recognise_global_average},
    {"", "ReduceMean", 1, INT_MAX, "global average", recognise_global_average},
    {"", "Pad", 2, INT_MAX, "pad", recognise_pad, Takes::kFloatOrBytes},
    {"", "Resize", 11, INT_MAX, "resize", recognise_resize, Takes::kFloatOrBytes},
    {"", "Concat", 4, INT_MAX, "concat", recognise_concat, Takes::kFloatOrBytes},
    {"", "Split", 2, INT_MAX, "split", recognise_split, Takes::kFloatOrBytes},
    {"", "Slice", 1, INT_MAX, "slice", recognise_slice, Takes::kFloatOrBytes},
    {"", "Reshape", 5, INT_MAX, "reshape", recognise_reshape, Takes::kFloatOrBytes},
    {"", "Flatten", 1, INT_MAX, "reshape", recognise_reshape, Takes::kFloatOrBytes},
    {"", "Squeeze", 1, INT_MAX, "reshape", recognise_reshape, Takes::kFloatOrBytes},
    {"", "Unsqueeze", 1, INT_MAX, "reshape", recognise_reshape, Takes::kFloatOrBytes},
    {"", "QuantizeLinear", 10, INT_MAX, "quantize", recognise_quantize, Takes::kAny},
    {"", "DequantizeLinear", 10, INT_MAX, "dequantize", recognise_quantize, Takes::kAny},
    {"", "QLinearConv", 10, INT_MAX, "qlinear conv", recognise_qlinear, Takes::kAny},
    {"", "QLinearMatMul", 10, INT_MAX, "qlinear matmul", recognise_qlinear, Takes::kAny},
    {kMicrosoft, "QGemm", 1, INT_MAX, "qgemm", recognise_qlinear, Takes::kAny},
    {kMicrosoft, "QLinearAdd", 1, INT_MAX, "qlinear add", recognise_qlinear, Takes::kAny},
    {kMicrosoft, "QLinearMul", 1, INT_MAX, "qlinear mul", recognise_qlinear, Takes::kAny},
    {kMicrosoft, "QLinearSigmoid", 1, INT_MAX, "qlinear sigmoid", recognise_qlinear, Takes::kAny},
    {kMicrosoft, "QLinearLeakyRelu", 1, INT_MAX, "qlinear leaky relu", recognise_qlinear, Takes::kAny},
    {kMicrosoft, "QLinearSoftmax", 1, INT_MAX, "qlinear softmax", recognise_qlinear, Takes::kAny},
    {kMicrosoft, "QLinearConcat", 1, INT_MAX, "qlinear concat", recognise_qlinear, Takes::kAny},
    {kMicrosoft, "QLinearAveragePool", 1, INT_MAX, "qlinear average pool", recognise_qlinear, Takes::kAny},
    {kMicrosoft, "QLinearGlobalAveragePool", 1, INT_MAX, "qlinear global average", recognise_qlinear, Takes::kAny},
};

std::string unsupported(const Node& node, bool known_operator) {
  if (node.op_type == "MatMulNBits") return "weights of fewer than 8 bits in blocks are not supported";
  if (node.op_type == "ConvInteger" || node.op_type == "MatMulInteger") {
    return "its int32 result is not followed by a Cast to float32 and a Mul with a constant scale";
  }
  if (node.op_type == "DynamicQuantizeLinear") {
    return "its result is used by more than MatMulInteger or ConvInteger, with constant weights, Cast and Mul";
  }
  if (node.domain == "com.microsoft.nchwc") {
    return "the file was saved for this CPU's own layout: save it at ORT_ENABLE_EXTENDED or below, or as it was "
           "exported";
  }
  if (node.op_type == "Softmax") return "it is not the Softmax between the products of attention";
  const std::string name = node.domain.empty() ? node.op_type : node.domain + "." + node.op_type;
  if (!known_operator) return name + " is not an operator that runs here";
  return name + " of opset " + std::to_string(node.since_version) + " is not supported";
}

// What holds for every operator in the table: one float activation in, float out.
std::string activation_problem(const RecogniseContext& context, const Node& node, Takes takes) {
  if (node.inputs.empty() || node.outputs.empty() || node.inputs[0] < 0 || node.outputs[0] < 0) {
    return "it lacks an input or output";
  }
  bool any_activation = false;
  for (int index : node.inputs) any_activation |= index >= 0 && !context.value(index).is_constant;
  if (!any_activation) {
    return node.op_type == "DequantizeLinear" ? "of a constant: it runs here only as a part of the node that reads it"
                                              : "all its inputs are constant: constant folding computes it once";
  }
  for (int index : {node.inputs[0], node.outputs[0]}) {
    const Value& value = context.value(index);
    if (value.is_constant && index == node.inputs[0]) continue;  // the recogniser says what it thinks of it
    const bool fits = value.type == ElementType::kFloat || (takes == Takes::kFloatOrBytes && is_byte(value.type));
    if (takes != Takes::kAny && !fits) {
      return "its activations are " + std::string(element_type_name(value.type)) + "; only " +
             (takes == Takes::kFloatOrBytes ? "float32, uint8 and int8 are" : "float32 is") + " supported";
    }
  }
  return "";
}

// An image is no list of tokens: where a node reads one as the other, it is left alone.
std::string axes_problem(const RecogniseContext& context, const Recognised& recognised) {
  for (const Op& op : recognised.ops) {
    const std::optional<Axes> own = own_axes(op.data);
    for (int input : op.inputs) {
      if (input < 0) continue;
      const std::optional<Axes> have = context.facts[input].axes;
      if (own && have && *own != *have) return "it takes an image for a list of tokens, or the other way round";
      const auto* linear = std::get_if<Linear>(&op.data);
      const auto* quantized = std::get_if<QuantizedLinear>(&op.data);
      const bool transposed = linear != nullptr ? linear->transposed_input : quantized && quantized->transposed_input;
      if (transposed && context.value(input).producer >= 0) {
        return "transA is supported on inputs of the model only";
      }
    }
  }
  return "";
}

bool takes_constant_first(const Node& node) {
  return node.op_type == "MatMul" || node.op_type == "Gemm" || node.op_type == "Add" || node.op_type == "Sub" ||
         node.op_type == "Mul" || node.op_type == "Div";
}

Recognised recognise_node(const RecogniseContext& context, int index) {
  const Node& node = context.graph.nodes[index];
  const Entry* entry = nullptr;
  bool known_operator = false;
  for (const Entry& candidate : kTable) {
    if (node.op_type != candidate.op_type || node.domain != candidate.domain) continue;
    known_operator = true;
    if (node.since_version >= candidate.first_version && node.since_version <= candidate.last_version)
      entry = &candidate;
  }
  if (entry == nullptr) return decline(unsupported(node, known_operator));
  Recognised result;
  const std::string problem = activation_problem(context, node, entry->takes);
  const bool own_checks = entry->recognise == recognise_qlinear;
  if (!problem.empty())
    result = decline(problem);
  else if (context.value(node.inputs[0]).is_constant && !takes_constant_first(node) && !own_checks)
    result = decline("its input is a constant");
  else
    result = entry->recognise(context, node);
  if (const std::string mixed = axes_problem(context, result); !mixed.empty()) result = decline(mixed);
  result.pattern = entry->pattern;
  name_ops(context.graph, index, &result);
  return result;
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
  if (v.has_shape && axis < static_cast<int>(v.dims.size()) && v.dims[axis] >= 0) return v.dims[axis];
  const ValueFacts& fact = facts[index];
  if (!fact.assumed || !fact.probe || axis >= static_cast<int>(fact.probe->size())) return -1;
  // No symbol has the same size in both sets, so a size that agrees depends on none.
  return (*fact.assumed)[axis] == (*fact.probe)[axis] ? (*fact.probe)[axis] : -1;
}

std::optional<float> RecogniseContext::static_number(int index) const {
  const ValueFacts& fact = facts[index];
  const bool known = fact.probe_numbers && fact.probe_numbers->size() == 1;
  if (!known || fact.assumed_numbers != fact.probe_numbers) return std::nullopt;
  return static_cast<float>(fact.probe_numbers->front());
}

bool same_dim(const RecogniseContext& context, int a, int axis_a, int b, int axis_b) {
  const int64_t static_a = context.static_dim(a, axis_a), static_b = context.static_dim(b, axis_b);
  if (static_a >= 0 && static_b >= 0) return static_a == static_b;
  const ValueFacts &fa = context.facts[a], &fb = context.facts[b];
  return fa.probe && fb.probe && fa.assumed && fb.assumed && (*fa.probe)[axis_a] == (*fb.probe)[axis_b] &&
         (*fa.assumed)[axis_a] == (*fb.assumed)[axis_b];
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

std::optional<Axes> own_axes(const OpData& data) {
  if (const auto* op = std::get_if<Linear>(&data)) return op->axes;
  if (const auto* op = std::get_if<QuantizedLinear>(&data)) return op->axes;
  if (const auto* op = std::get_if<Concat>(&data)) return op->axes;
  if (const auto* op = std::get_if<Split>(&data)) return op->axes;
  if (const auto* op = std::get_if<Affine>(&data)) {
    return op->scale.size() > 1 || op->shift.size() > 1 ? std::optional<Axes>(op->axes) : std::nullopt;
  }
  if (std::holds_alternative<LayerNorm>(data) || attention_of(data) != nullptr ||
      std::holds_alternative<SelectToken>(data)) {
    return Axes::kTokens;
  }
  const auto axes_of = [](const std::optional<ChannelBytes>& constant) {
    return constant && constant->values.size() > 1 ? std::optional<Axes>(constant->axes) : std::nullopt;
  };
  if (const auto* op = std::get_if<QuantizedAdd>(&data)) return axes_of(op->constant);
  if (const auto* op = std::get_if<QuantizedMul>(&data)) return axes_of(op->constant);
  const bool image = std::holds_alternative<Pool>(data) || std::holds_alternative<GlobalAverage>(data) ||
                     std::holds_alternative<Pad>(data) || std::holds_alternative<Resize>(data);
  return image ? std::optional<Axes>(Axes::kImage) : std::nullopt;
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
  if (meaning.reason.empty()) meaning.reason = shapes->propagate(context.graph.nodes[pattern.unit.place], meaning);
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

RecognisedGraph recognise_graph(const Graph& graph, const ClaimOptions& options) {
  RecognisedGraph result;
  result.facts.resize(graph.values.size());
  result.nodes.resize(graph.nodes.size());
  result.units = find_units(graph);
  std::vector<int> placed(graph.nodes.size(), -1);  // the unit whose place a node is
  for (size_t u = 0; u < result.units.size(); ++u) placed[result.units[u].place] = static_cast<int>(u);
  AssumedShapes shapes(graph, options, &result.facts);
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
      if (whole.ok()) whole.reason = shapes.propagate(node, whole);
      if (whole.reason.empty()) {
        for (int member : unit.nodes) result.nodes[member] = {whole.pattern, "", {}, u};
        recognised.ops = std::move(whole.ops);
        continue;
      }
      refusal = whole.reason;
    }
    recognised = recognise_node(context, static_cast<int>(i));
    const std::string problem = shapes.propagate(node, recognised);
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
