// Tables of functions of one byte, filled by the formulas that onnxruntime uses.
#pragma once
#include <functional>

#include "ops/elementwise.h"
#include "ops/quantized.h"

namespace sparsecpu {

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

}  // namespace sparsecpu
