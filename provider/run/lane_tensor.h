// A lane-blocked tensor as steps see it: a geometry, where channel 0 of grid position (0, 0) of batch group 0
// lies, and how to walk from position to position.
#pragma once
#include "layout/geometry.h"
#include "run/program.h"

namespace sparsecpu {

struct LaneTensor {
  Geometry geometry;
  int64_t vectors = 0;          // in a position: one a channel (float), or one a four channels (bytes)
  int64_t position_stride = 0;  // floats between neighbouring grid columns: vectors*16 at least
  TensorRef ref;

  int64_t row_stride() const { return geometry.grid_w * position_stride; }
  int64_t group_stride() const { return geometry.positions() * position_stride; }
  int64_t floats() const { return geometry.groups() * group_stride(); }
};

// Enumerates output positions (group, row, column) and maps them into one operand: row*row_step +
// column*column_step + first. column_step 0 and row_step 0 broadcast one position to all.
struct Walk {
  TensorRef ref;  // of the position that output position (0, 0, 0) uses
  int64_t group_step = 0, row_step = 0, column_step = 0;

  int64_t offset(int64_t group, int64_t row, int64_t column) const {
    return group * group_step + row * row_step + column * column_step;
  }
};

// The canonical positions of a tensor (its own pixels, no halo).
inline Walk walk_pixels(const LaneTensor& t) {
  Walk walk{t.ref, t.group_stride(), t.row_stride(), t.position_stride};
  walk.ref.offset += -t.geometry.origin_h * t.row_stride() - t.geometry.origin_w * t.position_stride;
  return walk;
}

// One vector for every position of a batch group.
inline Walk walk_broadcast(const LaneTensor& t) { return {t.ref, t.group_stride(), 0, 0}; }

// Output positions, numbered group by group, row by row.
struct PositionRange {
  int64_t groups = 1, rows = 1, columns = 1;

  int64_t count() const { return groups * rows * columns; }
  struct At {
    int64_t group, row, column;
  };
  At at(int64_t index) const { return {index / (rows * columns), index / columns % rows, index % columns}; }
};
inline PositionRange pixels_of(const Geometry& g) { return {g.groups(), g.step_h, g.step_w}; }

// Share `chunk` of `chunks` nearly equal parts of [0, units).
struct Share {
  int64_t begin, end;
};
inline Share share_of(int64_t units, int chunk, int chunks) {
  return {units * chunk / chunks, units * (chunk + 1) / chunks};
}

}  // namespace sparsecpu
