// Quantization parameters and weights of quantized operators, read from constants and checked.
#pragma once
#include <string>
#include <vector>

#include "recognise/lookup.h"
#include "recognise/meaning.h"

namespace sparsecpu {

// One scale and zero point. zero_point may be null: 0, of type u8.
Check read_quantization(const Value* scale, const Value* zero_point, Quantization* result);
// The same for the inputs number `scale` and `scale + 1` of a node, which tells the type where there is no zero point.
Check read_quantization(const RecogniseContext&, const Node&, size_t scale, Quantization* result);

// What the constant side of a quantized linear operator is made of.
struct QuantizedWeight {
  QuantizedWeightView view;
  std::vector<float> scale;  // one, or one a row; empty if the operator has none
};
// Weights [rows, channels, taps...], or with `columns` [channels, rows]. scale, zero_point may be null.
Check read_weight(const Value* weight, const Value* scale, const Value* zero_point, bool columns,
                  QuantizedWeight* result);
// An int32 constant: one number, or one for each of the `rows` of `axis` of `rank` axes. Result: `rows` numbers.
Check read_int_bias(const Value& bias, int rank, int axis, int64_t rows, std::vector<int32_t>* result);

// float32 (x_scale * w_scale[row]) / y_scale in that order; y_scale null: without the division.
std::vector<float> multipliers(float x_scale, const std::vector<float>& w_scale, const float* y_scale, int64_t rows);

// A linear operator over tokens.
Check set_token_geometry(const RecogniseContext&, const Node& product, int x, QuantizedLinear* linear);
// Of a layer of floats: declined if a DequantizeLinear makes its weights of constant bytes in every run.
Check check_not_dequantized(const RecogniseContext&, int weights);

}  // namespace sparsecpu
