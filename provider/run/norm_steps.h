// Steps that normalize by statistics of the values themselves.
#pragma once
#include <vector>

#include "run/pointwise_steps.h"

namespace sparsecpu {

struct NormParameters {
  std::vector<float> scale, shift;  // one entry a channel
  float epsilon = 0;
};

class LaneNormStep final : public LanePositionStep {
 public:
  NormParameters parameters;

 private:
  void compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept override {
    kernels->layer_norm(parameters.scale.data(), parameters.shift.data(), parameters.epsilon, in, out, vectors);
  }
};

// Row-major tokens.
class RowNormStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  NormParameters parameters;
  int64_t tokens = 0;
  TensorRef x, y;

  void run(int chunk, const Frame& frame) const noexcept override;
};

}  // namespace sparsecpu
