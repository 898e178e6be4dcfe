// Prices of quantized layers.
#pragma once
#include "graph/graph.h"
#include "price/layer_cost.h"

namespace sparsecpu {

// Which kernel the CPU provider has for a layer that this node means, alone or as the operator of a unit.
CpuProducts cpu_products(const Node& node, const QuantizedLinear& linear);

// What its weights are (into cost), and the price of the layer if `output` is known. Of `layer` only `open` is given.
void price_quantized_linear(const QuantizedLinear& linear, const WeightCount& count, const Shape* output, Layer layer,
                            CpuProducts products, Target target, NodeCost* cost);

}  // namespace sparsecpu
