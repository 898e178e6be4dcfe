// Lane permutation, one register of a destination vector at a time, for all channels. A register made of few registers
// of the sources (as in halos) permutes them; one made of many (as in a relayout that halves the pixels) is collected
// lane by lane.
#pragma once
#include "kernels/impl/vec.h"
#include "kernels/kernels.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// Lanes that one register of the destination takes from one register of a source.
struct LaneMove {
  ptrdiff_t offset;  // of the source's register, in floats
  Pick lanes;
};

// Moves whose indices and masks stay in registers; with more, collecting is as fast.
#if defined(SPARSECPU_LEVEL_AVX512)
constexpr int kMostMoves = 8;
#else
constexpr int kMostMoves = 4;
#endif

// Where one register of a destination vector comes from: register `part` of what these sources make.
struct RegisterSources {
  const LaneSource* sources;
  uint32_t count;
  int part;

  const uint8_t* index(uint32_t s) const { return sources[s].index + part * kRegisterLanes; }
  uint32_t lanes(uint32_t s) const {
    return (sources[s].mask >> (part * kRegisterLanes)) & ((1u << kRegisterLanes) - 1u);
  }
};

// The moves, or kMostMoves + 1 if there are more than kMostMoves.
SPARSECPU_INLINE int find_moves(const RegisterSources& r, LaneMove (&moves)[kMostMoves]) {
  int found = 0;
  for (uint32_t s = 0; s < r.count; ++s) {
    for (int from = 0; from < kVec / kRegisterLanes; ++from) {
      const uint32_t lanes = r.lanes(s) & lanes_from(r.index(s), from);
      if (lanes == 0) continue;
      if (found == kMostMoves) return kMostMoves + 1;
      moves[found++] = {r.sources[s].offset + from * kRegisterLanes, make_pick(r.index(s), lanes)};
    }
  }
  return found;
}

template <int Moves>
SPARSECPU_INLINE void move_lanes(const LaneMove (&moves)[kMostMoves], const float* x, float* y, int64_t begin,
                                 int64_t end, Register fill) {
  Pick lanes[Moves + 1];  // not empty
  const float* from[Moves + 1];
  SPARSECPU_UNROLL
  for (int m = 0; m < Moves; ++m) {
    lanes[m] = moves[m].lanes;
    from[m] = x + moves[m].offset;
  }
#pragma GCC unroll 4
  for (int64_t c = begin; c < end; ++c) {
    Register v = fill;
    SPARSECPU_UNROLL
    for (int m = 0; m < Moves; ++m) v = pick(v, lanes[m], load_register(from[m] + c * kVec));
    store_register(y + c * kVec, v);
  }
}

void collect_lanes(const RegisterSources& r, const float* x, float* y, int64_t begin, int64_t end, Register fill) {
  const float* from[kRegisterLanes];
  for (const float*& lane : from) lane = x + r.sources->offset;  // anything readable
  uint32_t inside = 0;
  for (uint32_t s = 0; s < r.count; ++s) {
    inside |= r.lanes(s);
    for (uint32_t left = r.lanes(s); left != 0; left &= left - 1) {
      const int l = __builtin_ctz(left);
      from[l] = x + r.sources[s].offset + r.index(s)[l];
    }
  }
  const Pick lanes = make_pick(r.index(0), inside);
  for (int64_t c = begin; c < end; ++c) store_register(y + c * kVec, blend(fill, lanes, collect(from, c * kVec)));
}

// A source may be y itself.
void permute_register(const RegisterSources& r, const float* x, float* y, int64_t begin, int64_t end, Register fill) {
  LaneMove moves[kMostMoves];
  switch (find_moves(r, moves)) {
    case 0:
      return move_lanes<0>(moves, x, y, begin, end, fill);
    case 1:
      return move_lanes<1>(moves, x, y, begin, end, fill);
    case 2:
      return move_lanes<2>(moves, x, y, begin, end, fill);
    case 3:
      return move_lanes<3>(moves, x, y, begin, end, fill);
    case 4:
      return move_lanes<4>(moves, x, y, begin, end, fill);
#if defined(SPARSECPU_LEVEL_AVX512)
    case 5:
      return move_lanes<5>(moves, x, y, begin, end, fill);
    case 6:
      return move_lanes<6>(moves, x, y, begin, end, fill);
    case 7:
      return move_lanes<7>(moves, x, y, begin, end, fill);
    case 8:
      return move_lanes<8>(moves, x, y, begin, end, fill);
#endif
    default:
      return collect_lanes(r, x, y, begin, end, fill);
  }
}

void permute(const LaneCopy* copies, int64_t count, const LaneSource* sources, const float* x, float* y, int64_t begin,
             int64_t end, float fill_value) {
  const Register fill = set1_register(fill_value);
  for (int64_t i = 0; i < count; ++i) {
    float* to = y + copies[i].destination;
    for (int part = 0; part < kVec / kRegisterLanes; ++part) {
      const RegisterSources from{sources + copies[i].first_source, copies[i].sources, part};
      permute_register(from, x, to + part * kRegisterLanes, begin, end, fill);
    }
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
