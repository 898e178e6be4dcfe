#include "lower/blocks.h"

#include <algorithm>

#include "lower/arithmetic.h"

namespace sparsecpu {

bool is_empty(const Shape& shape) { return std::ranges::find(shape, 0) != shape.end(); }

int64_t token_count(const Shape& shape) {
  return shape.empty() ? 1 : elements_of(std::span(shape).first(shape.size() - 1));
}

int64_t channel_count(const Shape& shape, Axes axes) {
  if (axes == Axes::kTokens) return shape.empty() ? 1 : shape.back();
  return shape.size() > 1 ? shape[1] : 1;
}

Geometry blocks_of(const Shape& shape, Axes axes) {
  if (axes == Axes::kTokens) {
    Geometry g;
    g.n = token_count(shape);
    g.lanes_n = kLanes;
    return g;
  }
  const auto [h, w] = image_size(shape);
  return choose_geometry(shape.at(0), h, w);
}

Geometry with_extent(const Geometry& blocks, const Extent& extent) {
  Geometry g = blocks;
  g.origin_h = extent.top;
  g.origin_w = extent.left;
  g.grid_h = extent.bottom - extent.top;
  g.grid_w = extent.right - extent.left;
  return g;
}

bool same_blocks(const Geometry& a, const Geometry& b) {
  return a.n == b.n && a.lanes_n == b.lanes_n && a.lanes_h == b.lanes_h && a.lanes_w == b.lanes_w &&
         (a.lanes_h == 1 || a.step_h == b.step_h) && (a.lanes_w == 1 || a.step_w == b.step_w);
}

bool covers(const Geometry& have, const Geometry& need) {
  return have.origin_h <= need.origin_h && have.origin_w <= need.origin_w &&
         have.origin_h + have.grid_h >= need.origin_h + need.grid_h &&
         have.origin_w + have.grid_w >= need.origin_w + need.grid_w;
}

uint16_t pixel_lanes(const Geometry& g, int64_t row, int64_t column) {
  uint16_t lanes = 0;
  for (int image = 0; image < g.lanes_n; ++image) {
    for (int block_h = 0; block_h < g.lanes_h; ++block_h) {
      for (int block_w = 0; block_w < g.lanes_w; ++block_w) {
        if (block_h * g.step_h + row < g.h && block_w * g.step_w + column < g.w)
          lanes |= static_cast<uint16_t>(1u << g.lane(image, block_h, block_w));
      }
    }
  }
  return lanes;
}

TensorStrides strides_of(const Shape& shape, Axes axes) {
  const int64_t c = channel_count(shape, axes);
  if (axes == Axes::kTokens) return {c, 1, 0, 0};
  const auto [h, w] = image_size(shape);
  return {c * h * w, h * w, w, 1};
}

bool is_one_a_channel(const Shape& operand, const Shape& image) {
  const bool images = operand.size() == image.size() && (image.size() == 3 || image.size() == 4);
  return images && operand[0] == image[0] && operand[1] == image[1] &&
         std::all_of(operand.begin() + 2, operand.end(), [](int64_t size) { return size == 1; });
}

}  // namespace sparsecpu
