#include "lower/planner.h"

#include <utility>

namespace sparsecpu {

Planner::Planner(const OpGraph& graph, const std::vector<Stage>& stages, const KernelTable& kernels, Workers workers,
                 const Part& part, Placement placed)
    : placement(std::move(placed)),
      emission(kernels, workers, &buffers),
      layouts(&placement, &buffers, &emission),
      stretches(graph, stages, part, placement) {
  for (size_t v = 0; v < graph.values.size(); ++v) {
    const std::vector<float>& constant = graph.values[v].constant;
    if (!constant.empty()) placement.at(static_cast<int>(v)).dense = {buffers.constant(constant.data()), 0};
  }
  for (size_t i = 0; i < part.inputs.size(); ++i) placement.at(part.inputs[i]).dense = {buffers.input(i), 0};
}

}  // namespace sparsecpu
