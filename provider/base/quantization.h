// The numbers of the INT8 contract that are computed once a node, in float32 and in ONNX Runtime's order.
#pragma once
#include <cstdint>

#include "base/quantized.h"

namespace sparsecpu {

// QLinearConv, QLinearMatMul, QGemm: (x_scale * w_scale) / y_scale.
float requantize_multiplier(float x_scale, float w_scale, float y_scale);

// QLinearAdd's ratios and shift for a + b -> y.
struct SumRatios {
  float a_ratio, b_ratio, shift;
};
SumRatios quantized_sum(const Quantization& a, const Quantization& b, const Quantization& y);

// QLinearMul's factor: a_scale * b_scale / y_scale.
float product_multiplier(float a_scale, float b_scale, float y_scale);

// QLinearGlobalAveragePool's factor for sums over `pixels`: x_scale / (y_scale * pixels).
float global_average_multiplier(float x_scale, float y_scale, int64_t pixels);

// DynamicQuantizeLinear: the u8 quantization of values in [least, most].
Quantization dynamic_quantization(float least, float most);

}  // namespace sparsecpu
