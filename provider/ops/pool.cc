#include "ops/pool.h"

#include "layout/window_layout.h"

namespace sparsecpu {

Shape Pool::shape(const Shapes& inputs) const {
  expect_rank(inputs[0], 3, 4);
  return windowed(inputs[0], window, inputs[0][1]);
}

std::optional<WindowUse> Pool::window_use() const { return WindowUse{window, bytes.has_value(), kMostPooledPixels}; }

Shape GlobalAverage::shape(const Shapes& inputs) const {
  expect_rank(inputs[0], 3, 4);
  Shape result{inputs[0][0], inputs[0][1]};
  if (keep_dims) result.resize(inputs[0].size(), 1);
  return result;
}

}  // namespace sparsecpu
