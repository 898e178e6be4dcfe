// Ops -> packed weights (once, in Compile) -> a Plan per set of input shapes (planned at the first run of
// a shape and cached).
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/isa.h"
#include "claim/op.h"
#include "run/plan.h"

namespace sparsecpu {

// What became of one Op, for the report.
struct OpReport {
  std::string kernel;  // "spmm", "dense", "depthwise", "few rows", "fused", "relabel", ...
  int64_t packed_bytes = 0;
  int computed_with = -1;  // the Op in whose kernel it is computed, itself included; -1: none
};

struct LowerOptions {
  Isa isa = Isa::kScalar;
  bool jit = true;  // generate code where it is faster and the system allows it
};

class Region {
 public:
  // Packs all constants: nothing of `ops` is needed afterwards. Throws Error.
  Region(OpGraph ops, const LowerOptions& options);
  ~Region();

  // The Plan for these input shapes; planned by one thread while others wait, then cached (bounded).
  // Throws Error when the shapes do not fit.
  std::shared_ptr<const Plan> plan(const std::vector<Shape>& input_shapes);

  const OpGraph& ops() const;
  const std::vector<OpReport>& reports() const;  // one per Op

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sparsecpu
