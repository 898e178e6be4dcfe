// Plans of lane permutations: from one geometry to another, and from a tensor's canonical positions to its
// own halo. The permute kernel runs them.
#pragma once
#include <cstdint>
#include <vector>

#include "layout/geometry.h"
#include "layout/lane_copy.h"

namespace sparsecpu {

// Where a destination coordinate (of one axis, inside the destination image) comes from in the source:
// coordinate + shift, or table[coordinate] where there is a table. A result outside the source image, for
// instance -1, means "fill".
struct AxisMap {
  int64_t shift = 0;
  std::vector<int64_t> table;

  int64_t source(int64_t coordinate) const {
    return table.empty() ? coordinate + shift : table[static_cast<size_t>(coordinate)];
  }
};
// Default: the identity. Pad by t rows above: rows.shift = -t. Nearest Resize: tables. Destination pixels
// outside the destination image are filled whatever the map says.
struct PixelMap {
  AxisMap rows, columns;
};

// `copies` are run `repeats` times; the r-th with source_step * r and destination_step * r (floats) added to
// the tensors' base pointers. All offsets are relative to channel 0 of position 0 of batch group 0.
struct PermutePlan {
  std::vector<LaneCopy> copies;
  std::vector<LaneSource> sources;
  int64_t repeats = 1;
  int64_t source_step = 0, destination_step = 0;
};

// A place in a plan's lists. Throws Error where it does not fit the 32 bits that copies keep.
uint32_t checked_index(size_t index);

// The copies that fill every position of `destination`, halo included. Position strides are in floats. Throws
// Error when the geometries hold different numbers of images, or the source lacks a pixel that is asked for
// (its grid is smaller than its step). The map's tables have h and w entries of the destination.
//
// If both split images alike (lanes_n equal), the plan is one batch group's, repeated; lanes of images past n
// are copied as if they were there. Otherwise all groups are listed, and such lanes are filled.
PermutePlan plan_relayout(const Geometry& source, int64_t source_position_stride, const Geometry& destination,
                          int64_t destination_position_stride, const PixelMap& map = {});

// The copies that complete a tensor in place whose canonical positions were computed: positions that are not
// canonical are filled from those that are, and canonical lanes outside the image become the fill value.
//
// The order of the copies does not matter: lanes are only read of pixels inside the image at canonical
// positions, and a canonical position is only rewritten with its own values there.
PermutePlan plan_halo(const Geometry& geometry, int64_t position_stride);

}  // namespace sparsecpu
