// A lane-blocked tensor as steps see it: a geometry, where channel 0 of grid position (0, 0) of batch group 0
// lies, and how to walk from position to position.
#pragma once
#include <algorithm>

#include "layout/geometry.h"
#include "run/program.h"

namespace sparsecpu {

struct LaneTensor {
  Geometry geometry;
  int64_t vectors = 0;          // in a position: one a channel (float), or one a four channels (bytes)
  int64_t position_stride = 0;  // floats between neighbouring grid columns: vectors*16 at least
  TensorRef ref;
  bool by_index = false;  // positions lie in the order of their numbers (PositionRange), without a halo

  int64_t row_stride() const { return geometry.grid_w * position_stride; }
  int64_t group_stride() const { return geometry.positions() * position_stride; }
  int64_t floats() const { return geometry.groups() * group_stride(); }
};

// Share `chunk` of `chunks` nearly equal parts of [0, units).
struct Share {
  int64_t begin, end;
};
inline Share share_of(int64_t units, int chunk, int chunks) {
  return {units * chunk / chunks, units * (chunk + 1) / chunks};
}

// Output positions, group by group. Within a group they are numbered by blocks of kEdge x kEdge (less at the lower and
// right border), row by row in a block: windows of neighbouring numbers overlap in both directions.
struct PositionRange {
  static constexpr int64_t kEdge = 4, kBlock = kEdge * kEdge;
  int64_t groups = 1, rows = 1, columns = 1;

  int64_t in_group() const { return rows * columns; }
  int64_t count() const { return groups * in_group(); }
  struct At {
    int64_t group, row, column, index;
  };
  At at(int64_t index) const {
    const int64_t group = index / in_group(), rest = index - group * in_group();
    const int64_t band = rest / (kEdge * columns) * kEdge, height = std::min(kEdge, rows - band);
    const int64_t in_band = rest - band * columns;
    const int64_t left = in_band / (kEdge * height) * kEdge, width = std::min(kEdge, columns - left);
    const int64_t in_block = in_band - left * height;
    return {group, band + in_block / width, left + in_block % width, index};
  }
  int64_t index(int64_t group, int64_t row, int64_t column) const {
    const int64_t band = row / kEdge * kEdge, height = std::min(kEdge, rows - band);
    const int64_t left = column / kEdge * kEdge, width = std::min(kEdge, columns - left);
    return group * in_group() + band * columns + left * height + (row - band) * width + column - left;
  }
  // The first number of the block that this position lies in, and the one after the last.
  int64_t block_begin(const At& at) const { return index(at.group, at.row / kEdge * kEdge, at.column / kEdge * kEdge); }
  int64_t block_end(const At& at) const {
    const int64_t height = std::min(kEdge, rows - at.row / kEdge * kEdge);
    return block_begin(at) + height * std::min(kEdge, columns - at.column / kEdge * kEdge);
  }
  // The blocks that begin in the share.
  Share whole_blocks(Share share) const {
    const auto next = [&](int64_t index) {
      if (index == count()) return index;
      const At place = at(index);
      return block_begin(place) == index ? index : block_end(place);
    };
    return {next(share.begin), next(share.end)};
  }
  // To the next position.
  void advance(At* at) const {
    ++at->index;
    if (++at->column % kEdge != 0 && at->column < columns) return;
    const int64_t left = (at->column - 1) / kEdge * kEdge;
    if (++at->row % kEdge != 0 && at->row < rows) {
      at->column = left;
    } else if (at->column < columns) {
      at->row = (at->row - 1) / kEdge * kEdge;
    } else {
      at->column = 0;
      if (at->row == rows) at->row = 0, ++at->group;
    }
  }
};

// Where an operand of each output position lies. column_step 0 and row_step 0 broadcast one position to all.
struct Walk {
  TensorRef ref;  // of what output position (0, 0, 0) uses
  int64_t group_step = 0, row_step = 0, column_step = 0;
  int64_t index_step = 0;  // for operands that lie in the order of the positions' numbers

  int64_t offset(const PositionRange::At& at) const {
    return at.group * group_step + at.row * row_step + at.column * column_step + at.index * index_step;
  }
};

// The canonical positions of a tensor (its own pixels, no halo).
inline Walk walk_pixels(const LaneTensor& t) {
  if (t.by_index) return {t.ref, 0, 0, 0, t.position_stride};
  Walk walk{t.ref, t.group_stride(), t.row_stride(), t.position_stride};
  walk.ref.offset += -t.geometry.origin_h * t.row_stride() - t.geometry.origin_w * t.position_stride;
  return walk;
}

// One vector for every position of a batch group.
inline Walk walk_broadcast(const LaneTensor& t) { return {t.ref, t.group_stride(), 0, 0}; }

inline PositionRange pixels_of(const Geometry& g) { return {g.groups(), g.step_h, g.step_w}; }

}  // namespace sparsecpu
