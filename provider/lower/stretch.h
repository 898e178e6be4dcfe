// What follows a quantized layer in floats, up to the next quantization, as a part of the layer's step: the bytes of a
// tile are read again while they are in the cache, and one step takes the place of up to five.
#pragma once
#include <vector>

#include "lower/placement.h"
#include "run/lane_step.h"

namespace sparsecpu {

struct Stretch {
  std::vector<size_t> stages;  // none: the layer has no stretch
  FloatTail tail;              // but for its operands
  int residual = kNone;
  int output = kNone;  // value: what the last stage computes
};

// Of all stages of a part: decided from the forms, before anything is emitted.
class Stretches {
 public:
  Stretches(const OpGraph& graph, const std::vector<Stage>& stages, const Part& part, const Placement& placement);

  const Stretch& after(int stage) const { return after_[static_cast<size_t>(stage)]; }
  // The stage is a part of an earlier one's step.
  bool computes(size_t stage) const { return computed_[stage]; }

 private:
  std::vector<Stretch> after_;
  std::vector<bool> computed_;
};

}  // namespace sparsecpu
