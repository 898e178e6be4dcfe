// Ops -> packed weights (once, in Compile) -> a Plan per set of input shapes (planned at the first run of
// a shape and cached).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "claim/kernel_times.h"
#include "claim/op.h"
#include "run/plan.h"

namespace sparsecpu {

// What became of one Op, for the report.
struct OpReport {
  std::string kernel;  // "spmm", "dense", "depthwise", "few rows", "fused", "relabel", ...
  int64_t packed_bytes = 0;
  int computed_with = -1;  // the Op in whose kernel it is computed, itself included; -1: none
};

class Region {
 public:
  // Packs all constants: nothing of `graphs` is needed afterwards. One Region for each graph, in order. Throws Error.
  //
  // They are lowered together so that temporary threads share the layers of all of them, and so that their generated
  // code is one allocation, freed with the last of them. ONNX Runtime compiles all regions of a model in one call, and
  // each body of an If or a Loop in a call of its own, before it. Code of several calls in one mapping would take
  // address space reserved before its size is known, which a limit on address space may refuse.
  static std::vector<std::unique_ptr<Region>> lower(std::vector<OpGraph> graphs, Target target);
  ~Region();

  // The Plan for these input shapes; planned by one thread while others wait, then cached (bounded).
  // Throws Error when the shapes do not fit.
  std::shared_ptr<const Plan> plan(const std::vector<Shape>& input_shapes);

  const OpGraph& ops() const;
  const std::vector<OpReport>& reports() const;  // one per Op

 private:
  struct State;
  explicit Region(std::unique_ptr<State> state);
  static void pack(const std::vector<std::unique_ptr<Region>>& regions, Target target);
  std::unique_ptr<State> state_;
};

}  // namespace sparsecpu
