// Several nodes that exporters write for one Op: attention, layer normalization, GELU, Reshape to computed sizes. Found
// backwards from their last node, when the facts of everything before it are known.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "recognise/recognise.h"

namespace sparsecpu {

struct Pattern {
  Unit unit;
  Recognised meaning;  // ops, or the reason why nodes that look like the pattern are not it
};

// The pattern that ends with node `last`, if there is one.
std::optional<Pattern> match_pattern(const RecogniseContext& context, int last);
std::optional<Pattern> match_attention(const RecogniseContext& context, int last);
std::optional<Pattern> match_layer_norm(const RecogniseContext& context, int last);
std::optional<Pattern> match_reshape(const RecogniseContext& context, int last);
std::optional<Pattern> match_gelu(const RecogniseContext& context, int last);

// Shared by the matchers. ------------------------------------------------------------------------------------------

// The node that makes `value`, as an index, if it is this operator (operators.h), else -1.
int made_by(const Graph& graph, int value, const char* op);
// Add or Mul of an activation and one static number: the other input in `activation`, the number; else nothing.
std::optional<float> with_number(const RecogniseContext& context, const Node& node, int* activation);

// The unit of these nodes, with what computes their integer inputs and serves nothing else; nothing if a value inside
// is used outside. The last of them is its place.
std::optional<Unit> close_unit(const Graph& graph, std::vector<int> nodes, int main);

}  // namespace sparsecpu
