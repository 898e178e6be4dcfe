// Constants that a model stores as integers behind a DequantizeLinear: what quantization tools make of biases,
// normalization statistics and the like.
#pragma once
#include "graph/graph.h"

namespace sparsecpu {

// Makes the output of every DequantizeLinear of a constant vector a float constant: one scale for all or one an
// element, at most one axis longer than 1, one use, no graph output. The value keeps its producer: whoever takes the
// node that uses the constant takes the DequantizeLinear too. Weights stay as they are stored.
void add_dequantized_constants(Graph* graph);

}  // namespace sparsecpu
