// Multiply-adds of any matrix operator, recognised or not, recurrent layers included: so that a report can say which
// share of a model's arithmetic runs here.
#pragma once
#include "recognise/recognise.h"

namespace sparsecpu {

// At the assumed shapes, zero weights included; 0 for other operators and where a shape is unknown.
double multiply_adds(const Graph& graph, const Table<ValueFacts>& facts, const Node& node);

}  // namespace sparsecpu
