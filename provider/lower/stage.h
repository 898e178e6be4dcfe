// Stages: what remains of a region's Ops after fusion. A stage is one pass over its output.
#pragma once
#include <optional>
#include <vector>

#include "claim/op.h"
#include "kernels/kernels.h"

namespace sparsecpu {

struct Stage {
  Op op;                                    // inputs and output are OpGraph values
  int residual = -1;                        // Linear: value added before the activation
  Clamp clamp;                              // Linear: Relu, Clip
  std::optional<Unary> post;                // Linear, Binary: an activation that is no clamp
  std::vector<float> row_scale, row_shift;  // Linear: a following Affine, one entry an output channel
  std::vector<int> op_indices;              // every Op of the OpGraph that this stage computes
};

// Topologically ordered. Fuses Erf-Gelu, x*Sigmoid(x), and into Linear: Affine, a residual Add, an activation.
std::vector<Stage> fuse(const OpGraph& graph);

}  // namespace sparsecpu
