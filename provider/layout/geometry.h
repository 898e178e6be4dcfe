// The lane-blocked layout: [batch group][grid row][grid column][channel][16 lanes x 32 bits].
//
// An image batch n x h x w is spread over 16 lanes = lanes_n images x lanes_h x lanes_w blocks. A lane's
// block origin lies step_h (step_w) pixels after its neighbour's; the grid position (r, s) of lane
// (i, bi, bj) in batch group g holds
//     image g*lanes_n + i,  pixel (bi*step_h + origin_h + r,  bj*step_w + origin_w + s).
// lane index = (i*lanes_h + bi)*lanes_w + bj.
//
// A plain tensor has origin 0 and grid = step. A halo is a negative origin and a larger grid: its
// positions repeat inner pixels of neighbouring lanes, or the fill value outside the image. The input
// of a strided convolution may be laid out with step = stride * (block of the output), so that every
// tap of every output position is one whole vector at a constant offset.
//
// Tokens are images of 1x1 pixels: n = tokens, lanes_n = 16; a feature is a channel.
#pragma once
#include <cstdint>

namespace sparsecpu {

constexpr int kLanes = 16;

struct Geometry {
  int64_t n = 1, h = 1, w = 1;                // logical images and pixels
  int lanes_n = 1, lanes_h = 1, lanes_w = 1;  // product is kLanes
  int64_t step_h = 1, step_w = 1;             // pixels between the origins of neighbouring lanes
  int64_t origin_h = 0, origin_w = 0;         // pixel of grid position (0, 0) in lane (0, 0, 0)
  int64_t grid_h = 1, grid_w = 1;             // positions

  int64_t groups() const { return (n + lanes_n - 1) / lanes_n; }
  int64_t positions() const { return grid_h * grid_w; }  // of one batch group
  int lane(int image, int block_h, int block_w) const { return (image * lanes_h + block_h) * lanes_w + block_w; }
  bool operator==(const Geometry&) const = default;
};

// The lane split of n images of h x w pixels with the fewest positions, without a halo. Ties prefer
// square blocks. Requires n, h, w >= 1.
Geometry choose_geometry(int64_t n, int64_t h, int64_t w);

// Vectors from one position of a tensor to the next. An odd number, so that neighbouring positions, which a window
// reads together, lie in different sets of the caches: with 64, 512, ... channels they would all share one.
inline int64_t padded_vectors(int64_t vectors) { return vectors < 8 ? vectors : vectors | 1; }

// Where a pixel is stored: the canonical (grid position, lane) of pixel (y, x) of image i in its group.
struct LanePlace {
  int64_t position = 0;
  int lane = 0;
};
LanePlace canonical_place(const Geometry& geometry, int64_t y, int64_t x, int image);

// True for the positions in [-origin, -origin + step): those that hold each pixel once.
bool is_canonical(const Geometry& geometry, int64_t row, int64_t column);

}  // namespace sparsecpu
