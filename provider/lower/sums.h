// Sums that are computed in a layer's stage, as far as the shapes of product and residual are equal. What a file
// declares of them proves nothing: equal symbols may stand for sizes that broadcast.
#pragma once
#include <vector>

#include "lower/stage.h"

namespace sparsecpu {

// Of each stage, whether it adds no residual, or one of the product's shape whatever sizes the region is given: found
// by computing the shapes for sizes that no two axes of its inputs share.
std::vector<bool> certain_sums(const OpGraph& graph, const std::vector<Stage>& stages);

// Whether no stage's product is smaller than the sum with its residual.
bool products_are_whole(const OpGraph& graph, const std::vector<Stage>& stages, const std::vector<Shape>& shapes);

// The same work with every sum of a layer and a residual in a stage of its own, which broadcasts both.
std::vector<Stage> with_sums_apart(const OpGraph& graph, const std::vector<Stage>& stages);

}  // namespace sparsecpu
