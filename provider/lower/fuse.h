// Fusion of Ops into stages. Every rewrite needs the inner values to have one use only.
#pragma once
#include "lower/stage.h"

namespace sparsecpu {

// Topologically ordered. Fuses Erf-Gelu, x*Sigmoid(x), and into Linear: Affine, a residual Add, an activation.
std::vector<Stage> fuse(const OpGraph& graph);

}  // namespace sparsecpu
