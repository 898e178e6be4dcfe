// What attention is made of before and after its Softmax: products, and values whose channels are split into heads.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "facts/axis_trace.h"
#include "recognise/meaning.h"
#include "recognise/patterns/links.h"

namespace sparsecpu {

// Queries, keys or values: `heads` ranges of `width` channels from channel `begin` on, of a list of tokens.
struct Tokens {
  int source = -1;
  std::vector<int64_t> target;  // not empty: the source is [tokens, c], and is reshaped to this
  int64_t begin = 0, heads = 1, width = 0;
  int64_t channels = 0;  // of the source
  float scale = 1;       // floats
  // Bytes: what makes them of the source, element by element (Quantize, Dequantize, Affine, Lookup).
  std::vector<OpData> steps;
  std::vector<int> nodes;  // between the source and the product
};

// A product of two activations, float or quantized, times a number.
struct Product {
  int left = -1, right = -1;  // bytes if quantized
  bool left_transposed = false, right_transposed = false;
  float scale = 1;
  std::optional<Quantization> a, b;  // both or none
  std::optional<Quantization> y;     // quantized, with a result of bytes
  std::vector<int> nodes;
  bool quantized() const { return a.has_value(); }
};

// The product of two activations behind `value`, through the quantization of its result.
std::optional<Product> find_product(const RecogniseContext& context, int value);
// Back from an operand of a product, [batch, heads, tokens, width] (transposed: [..., width, tokens]), to the tokens
// whose heads it holds. quantized: the operand is bytes. `what` names them in the reason that
// is returned; "": found.
Check find_tokens(const RecogniseContext& context, int operand, bool transposed, const char* what, bool quantized,
                  Tokens* tokens);
// The trace of a node's input becomes that of its output, if the node moves, selects, scales or quantizes.
bool follow_axes(const RecogniseContext& context, const Node& node, int output, AxisTrace* trace);

}  // namespace sparsecpu
