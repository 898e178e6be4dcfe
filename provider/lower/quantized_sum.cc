#include "lower/quantized_sum.h"

#include "base/quantization.h"

namespace sparsecpu {

bool exchanges(const QuantizedAdd& add, const Shape& a, const Shape& b) {
  if (!add.constant) return *exchanges_operands(a, b);
  return *(add.constant->first ? exchanges_operands(add.constant->dims, b) : exchanges_operands(a, add.constant->dims));
}

QuantizedSum sum_of(const QuantizedAdd& add, bool exchange) {
  const SumRatios ratios = exchange ? quantized_sum(add.b, add.a, add.y) : quantized_sum(add.a, add.b, add.y);
  return {ratios.a_ratio, ratios.b_ratio, ratios.shift, static_cast<uint8_t>(add.y.is_signed ? 0x80 : 0)};
}

}  // namespace sparsecpu
