#include <algorithm>
#include <iterator>

#include "facts/constants.h"
#include "graph/operators.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

constexpr NodeRecogniser kNodes[] = {
    {"Conv", "conv", recognise_conv, Takes::kFloat, Quantized::kLayer},
    {"MatMul", "matmul", recognise_matmul, Takes::kFloat, Quantized::kLayer},
    {"Gemm", "gemm", recognise_gemm, Takes::kFloat, Quantized::kLayer},
    {"Relu", "relu", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Clip", "clip", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"LeakyRelu", "leaky relu", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"PRelu", "prelu", recognise_activation},
    {"Sigmoid", "sigmoid", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"HardSigmoid", "hard sigmoid", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"HardSwish", "hard swish", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Swish", "silu", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Gelu", "gelu", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"com.microsoft.Gelu", "gelu", recognise_activation},
    {"com.microsoft.FastGelu", "gelu", recognise_biased_gelu},
    {"com.microsoft.QuickGelu", "silu", recognise_activation},
    {"Tanh", "tanh", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Erf", "erf", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Exp", "exp", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Softplus", "softplus", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Softsign", "softsign", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Elu", "elu", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Selu", "selu", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Celu", "celu", recognise_activation},
    {"Sqrt", "sqrt", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Reciprocal", "reciprocal", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Abs", "abs", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Neg", "neg", recognise_activation},
    {"Round", "round", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Floor", "floor", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Ceil", "ceil", recognise_activation, Takes::kFloat, Quantized::kFirstInput},
    {"Pow", "square", recognise_power},
    {"Add", "add", recognise_arithmetic, Takes::kFloat, Quantized::kAllInputs},
    {"Sub", "sub", recognise_arithmetic},
    {"Mul", "mul", recognise_arithmetic, Takes::kFloat, Quantized::kAllInputs},
    {"Div", "div", recognise_arithmetic},
    {"Max", "max", recognise_several},
    {"Min", "min", recognise_several},
    {"Sum", "sum", recognise_several},
    {"BatchNormalization", "batch norm", recognise_norm},
    {"GroupNormalization", "group norm", recognise_norm},
    {"InstanceNormalization", "group norm", recognise_norm},
    {"LayerNormalization", "layer norm", recognise_layer_norm},
    {"com.microsoft.SkipLayerNormalization", "layer norm", recognise_layer_norm},
    {"RMSNormalization", "rms norm", recognise_layer_norm},
    {"SimplifiedLayerNormalization", "rms norm", recognise_layer_norm},
    {"com.microsoft.SkipSimplifiedLayerNormalization", "rms norm", recognise_layer_norm},
    {"com.microsoft.BiasGelu", "gelu", recognise_biased_gelu},
    {"com.microsoft.FusedMatMul", "matmul", recognise_matmul},
    {"com.microsoft.FusedGemm", "gemm", recognise_fused_layer},
    {"com.microsoft.FusedConv", "conv", recognise_fused_layer},
    {"com.microsoft.MultiHeadAttention", "attention", recognise_attention},
    {"com.microsoft.Attention", "attention", recognise_attention},
    {"Attention", "attention", recognise_attention},
    {"Gather", "select token", recognise_select_token},
    {"MaxPool", "max pool", recognise_pool, Takes::kFloatOrBytes, Quantized::kFirstInput},
    {"AveragePool", "average pool", recognise_pool, Takes::kFloat, Quantized::kFirstInput},
    {"GlobalAveragePool", "global average", recognise_global_average, Takes::kFloat, Quantized::kFirstInput},
    {"ReduceMean", "global average", recognise_global_average},
    {"Pad", "pad", recognise_pad, Takes::kFloatOrBytes},
    {"Resize", "resize", recognise_resize, Takes::kFloatOrBytes, Quantized::kFirstInput},
    {"Concat", "concat", recognise_concat, Takes::kFloatOrBytes, Quantized::kAllInputs},
    {"Split", "split", recognise_split, Takes::kFloatOrBytes},
    {"Slice", "slice", recognise_slice, Takes::kFloatOrBytes},
    {"Reshape", "reshape", recognise_reshape, Takes::kFloatOrBytes, Quantized::kFirstInput},
    {"Flatten", "reshape", recognise_reshape, Takes::kFloatOrBytes, Quantized::kFirstInput},
    {"Squeeze", "reshape", recognise_reshape, Takes::kFloatOrBytes, Quantized::kFirstInput},
    {"Unsqueeze", "reshape", recognise_reshape, Takes::kFloatOrBytes, Quantized::kFirstInput},
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

struct Place {
  const char* op;  // of the node that is a match's place
  Matcher match;
};

constexpr Place kUnits[] = {
    {"QuantizeLinear", match_qdq},
    {"Conv", match_qdq},
    {"MatMul", match_qdq},
    {"Gemm", match_qdq},
    {"DynamicQuantizeLinear", match_dynamic_quantization},
    {"Mul", match_integer_chain},
};

// What looks like the first is not looked at as the second, even if it is declined.
template <Matcher first, Matcher second>
std::optional<Match> either(const RecogniseContext& context, int node) {
  std::optional<Match> found = first(context, node);
  return found ? found : second(context, node);
}

constexpr Place kPatterns[] = {
    {"Reshape", either<match_attention, either<match_norm, match_reshape>>},
    {"Transpose", match_attention},
    {"Squeeze", match_attention},
    {"QuantizeLinear", match_attention},
    {"Add", match_norm},
    {"Mul", either<match_norm, match_gelu>},
};

std::string unsupported(const Node& node) {
  if (node.op == "com.microsoft.MatMulNBits") return "weights of fewer than 8 bits in blocks are not supported";
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
  const bool known_operator = std::any_of(std::begin(kNodes), std::end(kNodes),
                                          [&](const NodeRecogniser& entry) { return node.op_type == entry.op; });
  if (!known_operator) return node.op_type + " is not an operator that runs here";
  return node.op_type + " of opset " + std::to_string(node.since_version) + " is not supported";
}

// What holds for every operator in the table: one float activation in, float out.
Check check_activations(const RecogniseContext& context, const Node& node, Takes takes) {
  if (node.inputs[0] < 0 || node.outputs[0] < 0) {
    return decline("it lacks an input or output");
  }
  bool any_activation = false;
  for (int index : node.inputs) any_activation |= index >= 0 && !context.value(index).is_constant;
  if (!any_activation) {
    return decline(node.op == "DequantizeLinear"
                       ? "of a constant: it runs here only as a part of the node that reads it"
                       : "all its inputs are constant: constant folding computes it once");
  }
  for (int index : {node.inputs[0], node.outputs[0]}) {
    const Value& value = context.value(index);
    if (value.is_constant && index == node.inputs[0]) continue;  // the recogniser says what it thinks of it
    const bool fits = value.type == ElementType::kFloat || (takes == Takes::kFloatOrBytes && is_byte(value.type));
    if (takes != Takes::kAny && takes != Takes::kOperands && !fits) {
      return decline("its activations are " + std::string(element_type_name(value.type)) + "; only " +
                     (takes == Takes::kFloatOrBytes ? "float32, uint8 and int8 are" : "float32 is") + " supported");
    }
  }
  return {};
}

bool takes_constant_first(const Node& node) {
  static constexpr std::string_view kNames[] = {"MatMul", "Gemm", "Add", "Sub", "Mul", "Div", "Max", "Min", "Sum"};
  return is_any_of(node.op, kNames);
}

Meaning recognise_node(const RecogniseContext& context, const Node& node, const NodeRecogniser& entry) {
  if (const std::string* nan = node.nan_attribute()) return decline("attribute '" + *nan + "' is NaN");
  if (Check takes = check_activations(context, node, entry.takes); !takes) return takes.reason();
  const bool is_constant = context.value(node.inputs[0]).is_constant;
  if (is_constant && !takes_constant_first(node) && entry.takes != Takes::kOperands)
    return decline("its input is a constant");
  return entry.recognise(context, node);
}

}  // namespace

const NodeRecogniser* node_recogniser(std::string_view op) {
  const auto found = std::find_if(std::begin(kNodes), std::end(kNodes),
                                  [&](const NodeRecogniser& candidate) { return op == candidate.op; });
  return found == std::end(kNodes) ? nullptr : &*found;
}

std::optional<Match> match_node(const RecogniseContext& context, int index) {
  const Node& node = context.graph.nodes[index];
  const NodeRecogniser* entry = node_recogniser(node.op);
  if (entry == nullptr) return Match{{{}, index, index}, "", decline(unsupported(node))};
  return Match{{{}, index, index}, entry->pattern, recognise_node(context, node, *entry)};
}

std::vector<Matcher> matchers_at(const Node& node) {
  std::vector<Matcher> matchers;
  const auto add = [&](const auto& places) {
    for (const Place& place : places) {
      if (node.op == place.op) matchers.push_back(place.match);
    }
  };
  add(kUnits);
  matchers.push_back(match_node);
  if (node.outputs.size() == 1 && node.outputs[0] >= 0) add(kPatterns);
  return matchers;
}

}  // namespace sparsecpu
