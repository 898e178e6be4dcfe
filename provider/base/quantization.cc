#include "base/quantization.h"

#include <algorithm>
#include <cmath>

namespace sparsecpu {

float requantize_multiplier(float x_scale, float w_scale, float y_scale) { return x_scale * w_scale / y_scale; }

SumRatios quantized_sum(const Quantization& a, const Quantization& b, const Quantization& y) {
  SumRatios sum;
  sum.a_ratio = a.scale / y.scale;
  sum.b_ratio = b.scale / y.scale;
  const float b_part = sum.b_ratio * static_cast<float>(b.zero_point);
  const float zero = std::fma(sum.a_ratio, static_cast<float>(a.zero_point), b_part);
  sum.shift = static_cast<float>(y.zero_point) - zero;
  return sum;
}

float product_multiplier(float a_scale, float b_scale, float y_scale) { return a_scale * b_scale / y_scale; }

float global_average_multiplier(float x_scale, float y_scale, int64_t pixels) {
  return x_scale / (y_scale * static_cast<float>(pixels));
}

Quantization dynamic_quantization(float least, float most) {
  least = std::min(least, 0.0f);
  most = std::max(most, 0.0f);
  const float scale = most == least ? 1.0f : (most - least) / 255.0f;
  const float zero_point = std::max(0.0f, std::min(255.0f, 0.0f - least / scale));  // NaN: 255, as onnxruntime has it
  return {scale, static_cast<int>(std::nearbyint(zero_point))};
}

}  // namespace sparsecpu
