#include "layout/permute_plan.h"

#include <limits>
#include <string>

#include "base/error.h"
#include "base/memory.h"
#include "layout/stored_pixels.h"

namespace sparsecpu {
namespace {

void require_stored(const BlockAxis& axis, int64_t coordinate) {
  if (axis.stores(coordinate)) return;
  throw Error("relayout: pixel " + std::to_string(coordinate) + " of " + std::to_string(axis.size) +
              " is not stored by " + std::to_string(axis.lanes) + " blocks of step " + std::to_string(axis.step) +
              ", origin " + std::to_string(axis.origin) + " and grid " + std::to_string(axis.grid));
}

// The source coordinate of a destination coordinate; -1 for fill.
int64_t source_coordinate(const AxisMap& map, int64_t coordinate, int64_t size, const BlockAxis& source) {
  if (coordinate < 0 || coordinate >= size) return -1;
  const int64_t result = map.source(coordinate);
  if (result < 0 || result >= source.size) return -1;
  require_stored(source, result);
  return result;
}

// Collects the sources of one destination vector, lane by lane.
class CopyBuilder {
 public:
  CopyBuilder(PermutePlan* plan, ptrdiff_t destination) : plan_(plan) {
    copy_ = {destination, checked_index(plan->sources.size()), 0};
  }
  void add(int lane, ptrdiff_t offset, int source_lane) {
    LaneSource& source = find(offset);
    source.mask = static_cast<uint16_t>(source.mask | (1u << lane));
    source.index[lane] = static_cast<uint8_t>(source_lane);
  }
  void finish() { plan_->copies.push_back(copy_); }

 private:
  LaneSource& find(ptrdiff_t offset) {
    for (size_t s = copy_.first_source; s < plan_->sources.size(); ++s) {
      if (plan_->sources[s].offset == offset) return plan_->sources[s];
    }
    ++copy_.sources;
    return plan_->sources.emplace_back(LaneSource{offset, 0, {}});
  }

  PermutePlan* plan_;
  LaneCopy copy_;
};

class Relayout {
 public:
  Relayout(const Geometry& source, int64_t source_stride, const Geometry& destination, int64_t destination_stride,
           const PixelMap& map)
      : from_(source),
        to_(destination),
        map_(map),
        from_stride_(source_stride),
        to_stride_(destination_stride),
        from_h_(rows_of(source)),
        from_w_(columns_of(source)),
        by_group_(source.lanes_n != destination.lanes_n) {}

  PermutePlan plan(bool only_missing) {
    const int64_t groups = by_group_ ? to_.groups() : 1;
    for (int64_t group = 0; group < groups; ++group) {
      for (int64_t row = 0; row < to_.grid_h; ++row) {
        for (int64_t column = 0; column < to_.grid_w; ++column) {
          if (only_missing && is_canonical(to_, row, column) && inside_in_every_lane(row, column)) continue;
          add_position(group, row, column);
        }
      }
    }
    if (!by_group_) {
      plan_.repeats = to_.groups();
      plan_.source_step = checked_mul(from_.positions(), from_stride_);
      plan_.destination_step = checked_mul(to_.positions(), to_stride_);
    }
    return std::move(plan_);
  }

 private:
  // Lane (image, block_h, block_w) holds the pixel at this row and column of its block; the largest block's
  // pixel is inside if and only if all are.
  bool inside_in_every_lane(int64_t row, int64_t column) const {
    const int64_t y = (to_.lanes_h - 1) * to_.step_h + to_.origin_h + row;
    const int64_t x = (to_.lanes_w - 1) * to_.step_w + to_.origin_w + column;
    return y < to_.h && x < to_.w;
  }

  void add_position(int64_t group, int64_t row, int64_t column) {
    const int64_t position = (group * to_.grid_h + row) * to_.grid_w + column;
    CopyBuilder copy(&plan_, position * to_stride_);
    for (int block_h = 0; block_h < to_.lanes_h; ++block_h) {
      const int64_t y = source_coordinate(map_.rows, block_h * to_.step_h + to_.origin_h + row, to_.h, from_h_);
      if (y < 0) continue;
      for (int block_w = 0; block_w < to_.lanes_w; ++block_w) {
        const int64_t x = source_coordinate(map_.columns, block_w * to_.step_w + to_.origin_w + column, to_.w, from_w_);
        if (x < 0) continue;
        for (int image = 0; image < to_.lanes_n; ++image) add_lane(&copy, group, image, block_h, block_w, y, x);
      }
    }
    copy.finish();
  }

  void add_lane(CopyBuilder* copy, int64_t group, int image, int block_h, int block_w, int64_t y, int64_t x) const {
    int64_t source_group = 0, source_image = image;
    if (by_group_) {
      const int64_t number = group * to_.lanes_n + image;
      if (number >= to_.n) return;
      source_group = number / from_.lanes_n;
      source_image = number % from_.lanes_n;
    }
    const LanePlace place = canonical_place(from_, y, x, static_cast<int>(source_image));
    const int64_t position = source_group * from_.positions() + place.position;
    copy->add(to_.lane(image, block_h, block_w), position * from_stride_, place.lane);
  }

  const Geometry& from_;
  const Geometry& to_;
  const PixelMap& map_;
  const int64_t from_stride_, to_stride_;
  const BlockAxis from_h_, from_w_;
  const bool by_group_;
  PermutePlan plan_;
};

void require_table(const AxisMap& map, int64_t size) {
  if (map.table.empty() || static_cast<int64_t>(map.table.size()) == size) return;
  throw Error("relayout: a table of " + std::to_string(map.table.size()) + " coordinates for an axis of " +
              std::to_string(size));
}

}  // namespace

uint32_t checked_index(size_t index) {
  if (index > std::numeric_limits<uint32_t>::max()) {
    throw Error("a lane permutation of " + std::to_string(index) + " copies; at most 2^32 are supported");
  }
  return static_cast<uint32_t>(index);
}

PermutePlan plan_relayout(const Geometry& source, int64_t source_position_stride, const Geometry& destination,
                          int64_t destination_position_stride, const PixelMap& map) {
  if (source.n != destination.n) {
    throw Error("relayout: " + std::to_string(source.n) + " images cannot become " + std::to_string(destination.n));
  }
  require_table(map.rows, destination.h);
  require_table(map.columns, destination.w);
  return Relayout(source, source_position_stride, destination, destination_position_stride, map).plan(false);
}

PermutePlan plan_halo(const Geometry& geometry, int64_t position_stride) {
  const PixelMap identity;
  return Relayout(geometry, position_stride, geometry, position_stride, identity).plan(true);
}

}  // namespace sparsecpu
