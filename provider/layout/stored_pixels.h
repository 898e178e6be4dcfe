// Which pixels of an image a geometry stores: what may be read from a tensor, and what a plan that reads checks.
#pragma once
#include "layout/geometry.h"

namespace sparsecpu {

// One axis of a geometry: `lanes` blocks, `step` pixels apart, of each of which the pixels [origin, origin + grid) from
// the block's first have positions.
struct BlockAxis {
  int64_t size, lanes, step, origin, grid;

  // Whether this coordinate of the image has a canonical position: in its own block.
  bool stores(int64_t coordinate) const {
    const int64_t place = coordinate % step - origin;
    return coordinate / step < lanes && place >= 0 && place < grid;
  }
  // Whether all do. Those of a block are stored from one to another, and blocks are alike: the first pixel, the last
  // one of the first block and the last one decide.
  bool stores_all() const {
    return size == 0 || (stores(0) && stores(step < size ? step - 1 : size - 1) && stores(size - 1));
  }
};
inline BlockAxis rows_of(const Geometry& g) { return {g.h, g.lanes_h, g.step_h, g.origin_h, g.grid_h}; }
inline BlockAxis columns_of(const Geometry& g) { return {g.w, g.lanes_w, g.step_w, g.origin_w, g.grid_w}; }

// Whether a tensor holds the whole image, and can be laid out anew or exported. The input of a window may not: its grid
// ends where the last window does, and a pixel that only a neighbour's halo repeats is none of its lane's own.
inline bool stores_every_pixel(const Geometry& g) { return rows_of(g).stores_all() && columns_of(g).stores_all(); }

}  // namespace sparsecpu
