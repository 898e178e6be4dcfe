// Operators whose inputs carry their scales and zero points: QLinear* and QGemm.
#include "facts/constants.h"
#include "recognise/bytes.h"
#include "recognise/conv.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

// What enters a QLinearConv, QLinearMatMul or QGemm: inputs 0 to 5. columns: as of read_weight.
Check read_operands(const RecogniseContext& context, const Node& node, bool columns, QuantizedLinear* linear,
                    QuantizedWeight* weight) {
  if (Check ok = read_quantization(context, node, 1, &linear->x); !ok) return ok;
  Check ok = read_weight(context.input(node, 3), context.input(node, 4), context.input(node, 5), columns, weight);
  linear->weight = weight->view;
  return ok;
}

// Everything about bytes that leave with one quantization.
Check set_output(const RecogniseContext& context, const Node& node, size_t scale, float x_scale,
                 const QuantizedWeight& weight, QuantizedLinear* linear) {
  if (Check ok = read_quantization(context, node, scale, &linear->y); !ok) return ok;
  linear->multiplier = multipliers(x_scale, weight.scale, &linear->y.scale, weight.view.rows);
  return {};
}

Meaning recognise_qlinear_conv(const RecogniseContext& context, const Node& node) {
  QuantizedLinear linear;
  QuantizedWeight weight;
  Check ok = read_operands(context, node, false, &linear, &weight);
  ConvGeometry geometry;
  if (ok) {
    ok = read_conv_geometry(context, node, node.inputs[0], context.value(node.inputs[3]).constant.dims, &geometry);
  }
  if (ok) ok = set_output(context, node, 6, linear.x.scale, weight, &linear);
  if (!ok) return ok.reason();
  if (node.attribute("channels_last", int64_t{0}) != 0) return decline("channels_last is not supported");
  set_conv_geometry(geometry, &linear);
  if (const Value* bias = context.input(node, 8)) {
    ok = read_int_bias(*bias, 1, 0, linear.out_channels, &linear.bias);
    if (!ok) return ok.reason();
  }
  return accept(std::move(linear), {node.inputs[0]}, node.outputs[0]);
}

Meaning recognise_qlinear_matmul(const RecogniseContext& context, const Node& node) {
  QuantizedLinear linear;
  QuantizedWeight weight;
  Check ok = read_operands(context, node, true, &linear, &weight);
  if (ok) ok = set_output(context, node, 6, linear.x.scale, weight, &linear);
  if (ok) ok = set_token_geometry(context, node, node.inputs[0], &linear);
  if (!ok) return ok.reason();
  return accept(std::move(linear), {node.inputs[0]}, node.outputs[0]);
}

Meaning recognise_qgemm(const RecogniseContext& context, const Node& node) {
  QuantizedLinear linear;
  QuantizedWeight weight;
  const bool rows_first = node.attribute("transB", int64_t{0}) != 0;
  Check ok = read_operands(context, node, !rows_first, &linear, &weight);
  if (!ok) return ok.reason();
  if (weight.view.taps != 1) return decline("its weights have more than two axes");
  const float scale = node.attribute("alpha", 1.0f) * linear.x.scale;
  if (context.has_input(node, 7)) {
    ok = set_output(context, node, 7, scale, weight, &linear);
  } else {
    linear.output = QuantizedLinear::Output::kFloat;
    linear.multiplier = multipliers(scale, weight.scale, nullptr, weight.view.rows);
  }
  if (ok) {
    ok = set_token_geometry(context, node, node.inputs[0], &linear);
  }
  const Value* bias = context.input(node, 6);
  if (ok && bias != nullptr) {
    ok = read_int_bias(*bias, 2, 1, linear.out_channels, &linear.bias);
  }
  if (!ok) return ok.reason();
  return accept(std::move(linear), {node.inputs[0]}, node.outputs[0]);
}

Meaning recognise_qlinear_binary(const RecogniseContext& context, const Node& node) {
  Quantization a, b, y;
  Check ok = read_quantization(context, node, 1, &a);
  if (ok) ok = read_quantization(context, node, 4, &b);
  if (ok) ok = read_quantization(context, node, 6, &y);
  if (!ok) return ok.reason();
  Node plain = node;
  plain.op = node.op == "com.microsoft.QLinearAdd" ? "Add" : "Mul";
  plain.inputs = {node.inputs[0], node.inputs[3]};
  return recognise_quantized_binary(context, plain, a, b, y, y.lowest(), y.highest());
}

// QLinearSigmoid, QLinearLeakyRelu, and the averages.
Meaning recognise_qlinear_unary(const RecogniseContext& context, const Node& node) {
  Quantization x, y;
  Check ok = read_quantization(context, node, 1, &x);
  if (ok) ok = read_quantization(context, node, 3, &y);
  if (!ok) return ok.reason();
  const int from = node.inputs[0], to = node.outputs[0];
  if (node.op == "com.microsoft.QLinearSigmoid") return accept(function_table(x, y, ort_logistic), {from}, to);
  if (node.op == "com.microsoft.QLinearLeakyRelu") {
    const float slope = node.attribute("alpha", 0.01f);
    return accept(function_table(x, y, [slope](float v) { return v >= 0.0f ? v : slope * v; }), {from}, to);
  }
  if (node.attribute("channels_last", int64_t{0}) != 0) return decline("channels_last is not supported");
  Node plain = node;
  plain.op = node.op_type.substr(7);  // without "QLinear"
  plain.inputs = {from};
  return recognise_quantized_average(context, plain, x, y);
}

Meaning recognise_qlinear_concat(const RecogniseContext& context, const Node& node) {
  Quantization y;
  Check ok = read_quantization(context, node, 0, &y);
  Node plain = node;
  plain.inputs.clear();
  std::vector<Quantization> x;
  for (size_t i = 2; i + 2 < node.inputs.size() && ok; i += 3) {
    plain.inputs.push_back(node.inputs[i]);
    ok = read_quantization(context, node, i + 1, &x.emplace_back());
  }
  if (!ok) return ok.reason();
  if (plain.inputs.empty()) return decline("it has no input");
  return recognise_quantized_concat(context, plain, x, y);
}

}  // namespace

Meaning recognise_qlinear(const RecogniseContext& context, const Node& node) {
  if (node.op == "com.microsoft.QLinearSoftmax") {
    Quantization x, y;
    Check ok = read_quantization(context, node, 1, &x);
    if (ok) ok = read_quantization(context, node, 3, &y);
    return ok ? decline("it is not the softmax between the products of attention") : ok.reason();
  }
  if (node.op == "com.microsoft.QLinearConcat") return recognise_qlinear_concat(context, node);
  const bool binary = node.op == "com.microsoft.QLinearAdd" || node.op == "com.microsoft.QLinearMul";
  if (node.inputs.empty() || node.inputs[0] < 0) return decline("it lacks an input");
  if (binary) return recognise_qlinear_binary(context, node);
  if (context.value(node.inputs[0]).is_constant) return decline("its input is a constant");
  if (node.op == "QLinearConv") return recognise_qlinear_conv(context, node);
  if (node.op == "QLinearMatMul") return recognise_qlinear_matmul(context, node);
  if (node.op == "com.microsoft.QGemm") return recognise_qgemm(context, node);
  return recognise_qlinear_unary(context, node);
}

}  // namespace sparsecpu
