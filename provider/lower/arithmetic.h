// What the Ops of a region compute at given shapes.
#pragma once
#include <vector>

#include "claim/op.h"

namespace sparsecpu {

// Multiply-adds of each Op, zero weights included: of linear layers and attention; 0 of others. shapes: of every value.
std::vector<double> multiply_adds(const OpGraph& graph, const std::vector<Shape>& shapes);

}  // namespace sparsecpu
