// Operators on bytes that are an operator on floats but for the quantizations, which QLinear operators and QDQ units
// give.
#pragma once
#include <vector>

#include "recognise/quantized.h"

namespace sparsecpu {

// Add or Mul of two byte tensors: from arithmetic on `node` {a, b} -> {y}, whose quantizations are given.
Meaning recognise_quantized_binary(const RecogniseContext&, const Node& node, const Quantization& a,
                                   const Quantization& b, const Quantization& y, int32_t clamp_low, int32_t clamp_high);
// AveragePool or GlobalAveragePool of bytes, as `node` of x -> y.
Meaning recognise_quantized_average(const RecogniseContext&, const Node& node, const Quantization& x,
                                    const Quantization& y);
// Concat of byte tensors with quantizations x to y.
Meaning recognise_quantized_concat(const RecogniseContext&, const Node& node, const std::vector<Quantization>& x,
                                   const Quantization& y);

}  // namespace sparsecpu
