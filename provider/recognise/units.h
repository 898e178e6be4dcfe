// Which nodes form a unit, by structure alone.
#pragma once
#include <optional>

#include "recognise/meaning.h"

namespace sparsecpu {

// Each: the unit whose place is this node, if there is one.

// DequantizeLinears, an operator, perhaps a Relu or Clip, QuantizeLinear; of a layer the last may be missing.
std::optional<Unit> qdq_unit(const Graph& graph, int place);
// ConvInteger or MatMulInteger, perhaps an Add, Cast, Mul with a constant.
std::optional<Unit> integer_unit(const Graph& graph, int place);
// A DynamicQuantizeLinear whose every use is such a chain.
std::optional<Unit> dynamic_unit(const Graph& graph, int place);

}  // namespace sparsecpu
