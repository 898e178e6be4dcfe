// The way back from a value inside attention, as far as elements are only moved or are functions of themselves.
#pragma once
#include <optional>
#include <vector>

#include "recognise/meaning.h"

namespace sparsecpu {

bool scales(const Node& node);       // Mul, Div
bool only_moves(const Node& node);   // Reshape, Transpose, ...
bool requantizes(const Node& node);  // QuantizeLinear, DequantizeLinear

// The constant quantization whose scale is input `scale` of a node.
std::optional<Quantization> quantization_of(const RecogniseContext& context, int node, size_t scale);

// One step of that way: it moves elements, or is a function of each of them.
struct Link {
  std::vector<int> nodes;  // the last one makes `value`
  int input = -1, value = -1;
  std::optional<OpData> function;  // Affine, Quantize, Dequantize, Lookup
  float factor = 1, divisor = 1;   // Affine: a Mul or Div with a number
};

// torch's guard of rows without a key: Where(IsNaN(p), 0, p) -> value. Its function is to multiply with 1.
std::optional<Link> nan_guard_of(const RecogniseContext& context, int value);
// The step that ends with `value`; quantized: bytes, or floats that bytes are made of
// and become again (which are numbers: a guard does nothing).
std::optional<Link> link_of(const RecogniseContext& context, int value, bool quantized);
// All of them, the last one first.
std::vector<Link> links_of(const RecogniseContext& context, int value, bool quantized);

// The functions of the first `count` links, in the order in which they are applied. From bytes through floats to bytes
// again is a table; or nothing, if the quantization is the same and nothing lies in between.
std::vector<OpData> joined_functions(const std::vector<Link>& links, size_t count);

}  // namespace sparsecpu
