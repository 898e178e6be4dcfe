#include "ops/facts.h"

#include "base/error.h"

namespace sparsecpu {

void expect_rank(const Shape& shape, size_t least, size_t most) {
  if (shape.size() >= least && shape.size() <= most) return;
  throw Error("its input has shape " + dims_text(shape) + "; rank " + std::to_string(least) + " to " +
              std::to_string(most) + " is expected");
}

void expect_channels(const Shape& shape, size_t axis, int64_t channels) {
  if (shape[axis] == channels) return;
  throw Error("its input has shape " + dims_text(shape) + "; " + std::to_string(channels) +
              " channels are expected on axis " + std::to_string(axis));
}

size_t channel_axis(Axes axes, const Shape& shape) {
  const size_t least = axes == Axes::kImage ? 2 : 1;
  if (shape.size() < least)
    throw Error("its input has shape " + dims_text(shape) + "; at least rank " + std::to_string(least) +
                " is expected");
  if (axes == Axes::kImage && shape.size() > 4)
    throw Error("its input has shape " + dims_text(shape) + "; at most rank 4 is expected");
  return axes == Axes::kImage ? 1 : shape.size() - 1;
}

Shape common_shape(const Shapes& inputs) {
  const std::optional<Shape> both = broadcast_shape(inputs[0], inputs[1]);
  if (both) return *both;
  throw Error("its inputs have shapes " + dims_text(inputs[0]) + " and " + dims_text(inputs[1]) +
              "; shapes that broadcast to a common one are expected");
}

}  // namespace sparsecpu
