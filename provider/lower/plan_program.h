// Plans a Program for concrete input shapes, in two passes over the stages: their forms (Placement), then their steps,
// with layout changes where a value is not in the form that a stage needs. What an op's form is and which steps it
// becomes stand in lower/ops/, a file a family.
#pragma once
#include <memory>
#include <vector>

#include "kernels/kernels.h"
#include "lower/placement.h"

namespace sparsecpu {

std::unique_ptr<const Program> plan_program(const OpGraph& graph, const std::vector<Stage>& stages,
                                            const KernelTable& kernels, int workers, const Part& part);

}  // namespace sparsecpu
