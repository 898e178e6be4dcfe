#include "ops/norm.h"

namespace sparsecpu {

Shape LayerNorm::shape(const Shapes& inputs) const {
  expect_channels(inputs[0], channel_axis(Axes::kTokens, inputs[0]), channels());
  return inputs[0];
}

}  // namespace sparsecpu
