// Prices of quantized layers.
#pragma once
#include "price/layer_cost.h"

namespace sparsecpu {

// What its weights are (into cost), and the price of the layer if `output` is known. Of `layer` only `open` is given.
void price_quantized_linear(const QuantizedLinear& linear, const WeightCount& count, const Shape* output, Layer layer,
                            Target target, NodeCost* cost);

}  // namespace sparsecpu
