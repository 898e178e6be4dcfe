#include "ops/elementwise.h"

namespace sparsecpu {

Shape Affine::shape(const Shapes& inputs) const {
  if (channels() > 1) expect_channels(inputs[0], channel_axis(axes, inputs[0]), static_cast<int64_t>(channels()));
  return inputs[0];
}

Shape PRelu::shape(const Shapes& inputs) const {
  expect_channels(inputs[0], channel_axis(axes, inputs[0]), static_cast<int64_t>(slope.size()));
  return inputs[0];
}

}  // namespace sparsecpu
