// What a step on the positions of a value reads beside its first input: lane by lane or row-major as that value is, and
// broadcast to its shape.
#pragma once
#include "lower/planner.h"

namespace sparsecpu {

struct Operand {
  LaneTensor tensor;
  Walk walk;
};

// `value` next to `out`, whose shape may be larger.
Operand operand_of(int value, int out, Planner& p);
TensorRef dense_operand_of(int value, int out, Planner& p);
// One value for all of `out`, or one a channel of its axes.
Operand constant_operand(const ChannelBytes& constant, int out, Planner& p);
// Lanes of a copy whose elements are repeated to this shape.
LaneTensor repeated_lanes(int value, const Shape& shape, const Geometry& blocks, Axes axes, Planner& p);

}  // namespace sparsecpu
