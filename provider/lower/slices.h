// A region's Plan: as one pass over the whole batch, or, where the images of a batch are independent, image by image.
#pragma once
#include <memory>
#include <vector>

#include "lower/stage.h"
#include "run/plan.h"

namespace sparsecpu {

// outputs: values to make, in the order of the Plan's outputs.
std::shared_ptr<const Plan> plan_region(const OpGraph& graph, const std::vector<Stage>& stages,
                                        const KernelTable& kernels, int workers, const std::vector<Shape>& input_shapes,
                                        const std::vector<int>& outputs);

}  // namespace sparsecpu
