// Quantization parameters, weights and tables of quantized operators, read from constants and checked.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "ops/op.h"
#include "recognise/recognise.h"

namespace sparsecpu {

// One scale and zero point. zero_point may be null: 0, of type u8. Each returns a reason, or "".
std::string read_quantization(const Value* scale, const Value* zero_point, Quantization* result);
// The same for the inputs number `scale` and `scale + 1` of a node, which tells the type where there is no zero point.
std::string read_quantization(const RecogniseContext&, const Node&, size_t scale, Quantization* result);

// What the constant side of a quantized linear operator is made of.
struct QuantizedWeight {
  QuantizedWeightView view;
  std::vector<float> scale;  // one, or one a row; empty if the operator has none
};
// Weights [rows, channels, taps...], or with `columns` [channels, rows]. scale, zero_point may be null.
std::string read_weight(const Value* weight, const Value* scale, const Value* zero_point, bool columns,
                        QuantizedWeight* result);
// An int32 constant: one number, or one for each of the `rows` of `axis` of `rank` axes. Result: `rows` numbers.
std::string read_int_bias(const Value& bias, int rank, int axis, int64_t rows, std::vector<int32_t>* result);

// float32 (x_scale * w_scale[row]) / y_scale in that order; y_scale null: without the division.
std::vector<float> multipliers(float x_scale, const std::vector<float>& w_scale, const float* y_scale, int64_t rows);

// A linear operator over tokens; reason, or "".
std::string set_token_geometry(const RecogniseContext&, int x, bool transposed_input, QuantizedLinear* linear);
void set_conv_geometry(const ConvGeometry& geometry, QuantizedLinear* linear);

// table[q] = quantize(function(scale * (q - zero point))), as onnxruntime fills it.
Lookup function_table(const Quantization& x, const Quantization& y, const std::function<float(float)>& function);
// As function_table with the identity; nothing if x and y are equal.
bool same_quantization(const Quantization& x, const Quantization& y);
uint8_t quantize_one(float value, const Quantization& y);
// onnxruntime's logistic function: a rational approximation, evaluated with fma.
float ort_logistic(float x);
// The float function of a Unary; `exact` tells whether onnxruntime computes the same bits.
std::function<float(float)> unary_function(const Unary& unary, bool* exact);

// QuantizedAdd or QuantizedMul with a constant number as a (first) or as b; exchange: as exchanges_operands().
Lookup add_table(const QuantizedAdd& add, int32_t number, bool first, bool exchange);
Lookup mul_table(const QuantizedMul& mul, int32_t number, bool first);

// Add or Mul of two byte tensors: from arithmetic on `node` {a, b} -> {y}, whose quantizations are given.
Recognised recognise_quantized_binary(const RecogniseContext&, const Node& node, const Quantization& a,
                                      const Quantization& b, const Quantization& y, int32_t clamp_low,
                                      int32_t clamp_high);
// AveragePool or GlobalAveragePool of bytes, as `node` of x -> y.
Recognised recognise_quantized_average(const RecogniseContext&, const Node& node, const Quantization& x,
                                       const Quantization& y);
// Concat of byte tensors with quantizations x to y.
Recognised recognise_quantized_concat(const RecogniseContext&, const Node& node, const std::vector<Quantization>& x,
                                      const Quantization& y);

// Units: structure first (no shapes), then what they mean. Reasons go with the unit's main node.
std::vector<Unit> find_units(const Graph& graph);
Recognised recognise_unit(const RecogniseContext&, const Unit& unit);
Recognised recognise_qdq(const RecogniseContext&, const Unit& unit);
Recognised recognise_integer_chain(const RecogniseContext&, const Unit& unit);  // ConvInteger, MatMulInteger
// A recognised node makes one unit with the DequantizeLinears of its constants (graph/dequantized.h).
void join_dequantizers(const Graph& graph, RecognisedGraph* recognised);

// The node that makes a value, or null; the only node that uses it, or null.
const Node* producer_of(const Graph& graph, int value);
int sole_consumer(const Graph& graph, int value);  // node index, or -1

}  // namespace sparsecpu
