#include "layout/geometry.h"

#include <cstdlib>
#include <tuple>

#include "base/memory.h"

namespace sparsecpu {

Geometry choose_geometry(int64_t n, int64_t h, int64_t w) {
  Geometry best;
  std::tuple<int64_t, int, int> best_rank;
  // Pixels without extent are tokens: always whole vectors of images.
  const int fewest_images = h * w == 1 ? kLanes : 1;
  for (int lanes_n = fewest_images; lanes_n <= kLanes; lanes_n *= 2) {
    for (int lanes_h = 1; lanes_n * lanes_h <= kLanes; lanes_h *= 2) {
      const int lanes_w = kLanes / (lanes_n * lanes_h);
      Geometry g{.n = n, .h = h, .w = w, .lanes_n = lanes_n, .lanes_h = lanes_h, .lanes_w = lanes_w};
      g.grid_h = g.step_h = ceil_div(h, lanes_h);
      g.grid_w = g.step_w = ceil_div(w, lanes_w);
      const int oblong = lanes_h > lanes_w ? lanes_h / lanes_w : lanes_w / lanes_h;
      // Fewest positions; then square blocks; then few images at once, which is less memory in flight.
      const std::tuple<int64_t, int, int> rank{checked_mul(g.groups(), checked_mul(g.grid_h, g.grid_w)), oblong,
                                               lanes_n};
      if (best_rank == std::tuple<int64_t, int, int>{} || rank < best_rank) {
        best_rank = rank;
        best = g;
      }
    }
  }
  return best;
}

LanePlace canonical_place(const Geometry& geometry, int64_t y, int64_t x, int image) {
  const int64_t block_h = y / geometry.step_h, block_w = x / geometry.step_w;
  const int64_t row = y - block_h * geometry.step_h - geometry.origin_h;
  const int64_t column = x - block_w * geometry.step_w - geometry.origin_w;
  return {row * geometry.grid_w + column, geometry.lane(image, static_cast<int>(block_h), static_cast<int>(block_w))};
}

bool is_canonical(const Geometry& geometry, int64_t row, int64_t column) {
  const int64_t y = row + geometry.origin_h, x = column + geometry.origin_w;
  return y >= 0 && y < geometry.step_h && x >= 0 && x < geometry.step_w;
}

}  // namespace sparsecpu
