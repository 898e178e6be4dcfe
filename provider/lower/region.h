// Ops -> packed weights (once, before a region is claimed) -> a Plan per set of input shapes (planned at the first run
// of a shape and cached).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "lower/layer_pack.h"
#include "ops/op.h"
#include "pack/kernel_times.h"
#include "run/plan.h"

namespace sparsecpu {

// What became of one Op, for the report.
struct OpReport {
  std::string kernel;  // "spmm", "dense", "depthwise", "few rows", "fused", "relabel", ...
  int64_t packed_bytes = 0;
  int computed_with = -1;  // the Op in whose kernel it is computed, itself included; -1: none
};

class Region;

// What became of regions that were to be lowered.
struct Lowering {
  struct Refusal {
    size_t region = 0;
    int node = -1;  // of the region's Graph (Op::node); -1: the region as a whole
    std::string reason;
  };
  std::vector<std::unique_ptr<Region>> regions;  // in order; null where refused
  std::vector<Refusal> refusals;
  LayerPacks packs;    // of all layers; who lowers again without what was refused keeps them meanwhile
  int64_t packed = 0;  // layers whose weights were packed for this, and not for another before
};

class Region {
 public:
  // Packs all constants, so that nothing of `regions` is needed afterwards, and plans for the assumed shapes: what has
  // been lowered can run. The plan is kept.
  //
  // They are lowered together so that temporary threads share the layers of all of them, and so that their generated
  // code is one allocation. ONNX Runtime shows the main graph in one call, and each body of an If or a Loop in a call
  // of its own, before it. Code of several calls in one mapping would take address space reserved before its size is
  // known, which a limit on address space may refuse.
  static Lowering lower(std::vector<RegionOps> regions, Target target);
  ~Region();

  // The Plan for these input shapes and so many workers; made by the first that asks, then cached (bounded).
  // Throws Error when the shapes do not fit.
  std::shared_ptr<const Plan> plan(const std::vector<Shape>& input_shapes, int workers);
  // A Plan that makes other values than the region's outputs, not cached. It runs the same kernels, but what one step
  // hands to the next in parts is stored as a whole if it is among the outputs.
  std::shared_ptr<const Plan> plan_for(const std::vector<int>& outputs, const std::vector<Shape>& input_shapes,
                                       int workers) const;
  // The values that its kernels make, the region's outputs first; those that are only inside a kernel are not among
  // them.
  std::vector<int> kernel_results() const;

  const OpGraph& ops() const;
  const std::vector<OpReport>& reports() const;  // one per Op

 private:
  class Lowerer;
  struct State;
  explicit Region(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sparsecpu
