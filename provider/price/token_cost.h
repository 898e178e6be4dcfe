// Prices of what transformers have between their linear layers.
#pragma once
#include <vector>

#include "base/isa.h"
#include "price/node_cost.h"

namespace sparsecpu {

// Adds to the cost of what is neither a layer nor a plain pass.
void price_attention(const Attention& attention, const std::vector<Shape>& inputs, Isa isa, NodeCost* cost);
void price_norm(const Moves& moves, const Shape& x, Isa isa, NodeCost* cost);
// Whether queries, keys and values are [batch, tokens, channels].
bool are_tokens(const std::vector<Shape>& sides);

}  // namespace sparsecpu
