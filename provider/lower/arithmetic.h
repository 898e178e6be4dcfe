// What the Ops of a region compute at given shapes, and of how many elements.
#pragma once
#include <span>
#include <vector>

#include "ops/op.h"

namespace sparsecpu {

int64_t elements_of(std::span<const int64_t> sizes);  // throws Error where there are more than an int64_t counts

// Shapes of all values that the ops of these indices make, for these shapes of the region's inputs. Throws Error where
// they do not fit.
std::vector<Shape> value_shapes(const OpGraph& graph, const std::vector<int>& ops,
                                const std::vector<Shape>& input_shapes);

// Multiply-adds of each Op, zero weights included: of linear layers and attention; 0 of others. shapes: of every value.
std::vector<double> multiply_adds(const OpGraph& graph, const std::vector<Shape>& shapes);

}  // namespace sparsecpu
