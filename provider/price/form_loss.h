// Of nodes between DequantizeLinear and QuantizeLinear on int8, onnxruntime's CPU provider has integer operators on
// uint8 only: of a QuantizeLinear that one DequantizeLinear reads it makes a pair of uint8
// (optimizer/qdq_transformer/qdq_s8_to_u8.cc), if both are the CPU provider's. What such a node loses when one of them
// is not: it runs in floats, between a DequantizeLinear and a QuantizeLinear.
#pragma once
#include <vector>

#include "base/isa.h"
#include "price/node_cost.h"
#include "recognise/recognise.h"

namespace sparsecpu {

// Sets form_loss of all nodes; of units contracted to one node (claim/atoms.h), whose other prices are known.
void price_form_losses(const Graph& graph, const Table<Recognised>& recognised, const Table<ValueFacts>& facts, Isa isa,
                       std::vector<NodeCost>* costs);

}  // namespace sparsecpu
