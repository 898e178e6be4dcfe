#include "recognise/lookup.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/quantization.h"

namespace sparsecpu {
namespace {

int32_t byte_value(int index, bool is_signed) {
  return is_signed ? static_cast<int8_t>(static_cast<uint8_t>(index)) : index;
}

// RNE in the default rounding mode; beyond int32 it is saturated by the caller's limits.
int32_t limited(float rounded, int32_t low, int32_t high) {
  if (!(rounded > static_cast<float>(low))) return low;
  return rounded < static_cast<float>(high) ? static_cast<int32_t>(rounded) : high;
}

}  // namespace

bool same_quantization(const Quantization& x, const Quantization& y) {
  return x.scale == y.scale && x.zero_point == y.zero_point && x.is_signed == y.is_signed;
}

uint8_t quantize_one(float value, const Quantization& y) {
  const float low = static_cast<float>(y.lowest() - y.zero_point),
              high = static_cast<float>(y.highest() - y.zero_point);
  const float scaled = std::min(std::max(low, value / y.scale), high);  // NaN: the lowest, as onnxruntime has it
  return static_cast<uint8_t>(static_cast<int32_t>(std::nearbyint(scaled)) + y.zero_point);
}

Lookup function_table(const Quantization& x, const Quantization& y, const std::function<float(float)>& function) {
  Lookup lookup;
  lookup.output_signed = y.is_signed;
  for (int i = 0; i < 256; ++i) {
    const float value = x.scale * static_cast<float>(byte_value(i, x.is_signed) - x.zero_point);
    lookup.table[i] = quantize_one(function(value), y);
  }
  return lookup;
}

float ort_logistic(float x) {
  x = std::min(std::max(x, -18.0f), 18.0f);
  const float square = x * x;
  float p = std::fma(square, 4.37031012579801e-11f, 1.15627324459942e-07f);
  p = std::fma(p, square, 6.08574864600143e-05f);
  p = std::fma(p, square, 8.51377133304701e-03f);
  p = std::fma(p, square, 2.48287947061529e-01f) * x;
  float q = std::fma(square, 6.10247389755681e-13f, 5.76102136993427e-09f);
  q = std::fma(q, square, 6.29106785017040e-06f);
  q = std::fma(q, square, 1.70198817374094e-03f);
  q = std::fma(q, square, 1.16817656904453e-01f);
  q = std::fma(q, square, 9.93151921023180e-01f);
  return std::min(std::max(p / q + 0.5f, 0.0f), 1.0f);
}

std::function<float(float)> unary_function(const Unary& unary, bool* exact) {
  const float a = unary.a, b = unary.b;
  *exact = true;
  switch (unary.kind) {
    case UnaryKind::kRelu:
      return [](float x) { return std::max(x, 0.0f); };
    case UnaryKind::kClip:
      return [a, b](float x) { return std::min(std::max(x, a), b); };
    case UnaryKind::kLeakyRelu:
      return [a](float x) { return x >= 0.0f ? x : a * x; };
    case UnaryKind::kSigmoid:
      return ort_logistic;
    case UnaryKind::kSqrt:
      return [](float x) { return std::sqrt(x); };
    case UnaryKind::kReciprocal:
      return [](float x) { return 1.0f / x; };
    case UnaryKind::kSquare:
      return [](float x) { return x * x; };
    case UnaryKind::kAbs:
      return [](float x) { return std::fabs(x); };
    case UnaryKind::kRound:
      return [](float x) { return std::nearbyint(x); };
    case UnaryKind::kFloor:
      return [](float x) { return std::floor(x); };
    case UnaryKind::kCeil:
      return [](float x) { return std::ceil(x); };
    default:
      break;
  }
  *exact = false;  // other approximations or orders of the same function: a step of 1 where it nears a tie
  const auto hard = [](double x, double alpha, double beta) { return std::clamp(alpha * x + beta, 0.0, 1.0); };
  return [kind = unary.kind, a, b, hard](float value) -> float {
    const double x = value;
    switch (kind) {
      case UnaryKind::kSilu:
        return static_cast<float>(x / (1 + std::exp(-a * x)));
      case UnaryKind::kHardSigmoid:
        return static_cast<float>(hard(x, a, b));
      case UnaryKind::kHardSwish:
        return static_cast<float>(x * hard(x, 1.0 / 6, 0.5));
      case UnaryKind::kGelu:
        return static_cast<float>(0.5 * x * (1 + std::erf(x * 0.70710678118654752)));
      case UnaryKind::kGeluTanh:
        return static_cast<float>(0.5 * x * (1 + std::tanh(0.79788456080286536 * (x + 0.044715 * x * x * x))));
      case UnaryKind::kTanh:
        return static_cast<float>(std::tanh(x));
      case UnaryKind::kErf:
        return static_cast<float>(std::erf(x));
      case UnaryKind::kExp:
        return static_cast<float>(std::exp(x));
      case UnaryKind::kSoftplus:
        return static_cast<float>(std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))));
      case UnaryKind::kElu:
        return static_cast<float>(x < 0 ? a * (std::exp(value) - 1.0f) : b * x);  // as onnxruntime, 0 next to 0
      case UnaryKind::kSoftsign:
        return static_cast<float>(x / (1 + std::fabs(x)));
      default:
        break;  // above
    }
    throw Error("a function of bytes has no table");
  };
}

Lookup add_table(const QuantizedAdd& add, int32_t number, bool first, bool exchange) {
  const SumRatios ratios = exchange ? quantized_sum(add.b, add.a, add.y) : quantized_sum(add.a, add.b, add.y);
  const bool number_leads = first != exchange;
  Lookup lookup;
  lookup.output_signed = add.y.is_signed;
  for (int i = 0; i < 256; ++i) {
    const int32_t x = byte_value(i, first ? add.b.is_signed : add.a.is_signed);
    const auto lead = static_cast<float>(number_leads ? number : x),
               other = static_cast<float>(number_leads ? x : number);
    const float sum = std::nearbyint(std::fma(lead, ratios.a_ratio, std::fma(other, ratios.b_ratio, ratios.shift)));
    const int32_t y = limited(sum, add.y.lowest(), add.y.highest());
    lookup.table[i] = static_cast<uint8_t>(std::clamp(y, add.clamp_low, add.clamp_high));
  }
  return lookup;
}

Lookup mul_table(const QuantizedMul& mul, int32_t number, bool first) {
  const float ratio = product_multiplier(mul.a.scale, mul.b.scale, mul.y.scale);
  const Quantization &x = first ? mul.b : mul.a, &own = first ? mul.a : mul.b;
  Lookup lookup;
  lookup.output_signed = mul.y.is_signed;
  for (int i = 0; i < 256; ++i) {
    const int32_t exact = (byte_value(i, x.is_signed) - x.zero_point) * (number - own.zero_point);
    const float product = static_cast<float>(exact) * ratio + static_cast<float>(mul.y.zero_point);
    lookup.table[i] = static_cast<uint8_t>(limited(std::nearbyint(product), mul.y.lowest(), mul.y.highest()));
  }
  return lookup;
}

}  // namespace sparsecpu
