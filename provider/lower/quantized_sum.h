// The numbers of a sum of bytes, by itself or in a layer's step.
#pragma once
#include "kernels/quantized.h"
#include "lower/stage.h"

namespace sparsecpu {

// Whether ONNX Runtime exchanges the operands. a, b: shapes of those that are no constants.
bool exchanges(const QuantizedAdd& add, const Shape& a, const Shape& b);
QuantizedSum sum_of(const QuantizedAdd& add, bool exchange);

}  // namespace sparsecpu
