// A lane permutation as data: what layout/ plans and the permute kernel runs. Included by files compiled
// for an instruction-set level: no STL in it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "layout/geometry.h"

namespace sparsecpu {

// Each destination vector is built from `sources` vectors; lane l of the result is lane index[l] of the
// source whose mask has bit l, else a fill value. The masks of one copy are disjoint. The same for every
// channel of a position: offsets are in floats to channel 0.
struct LaneSource {
  ptrdiff_t offset;
  uint16_t mask;
  uint8_t index[kLanes];
};
struct LaneCopy {
  ptrdiff_t destination;
  uint32_t first_source, sources;  // into the LaneSource list; sources may be 0 (all fill)
};

}  // namespace sparsecpu
