// Shapes that broadcast, by ONNX's rule.
#pragma once
#include <optional>

#include "claim/op.h"

namespace sparsecpu {

// The shape to which tensors of both shapes broadcast, aligned at their last axes; nullopt if they do not.
std::optional<Shape> broadcast_shape(const Shape& a, const Shape& b);

}  // namespace sparsecpu
