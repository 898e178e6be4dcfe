// Lane permutation. Most copies have one source (all lanes, or a mask), halos one to four, a relayout that halves
// the pixels up to eight: those prepare indices and masks once for all channels.
#pragma once
#include "kernels/impl/vec.h"
#include "kernels/kernels.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

constexpr uint16_t kAllLanes = 0xffff;

// y[c] = lanes of the sources, else `fill`, for channels [begin, end). A source may be y itself.
template <int Sources>
SPARSECPU_INLINE void permute_few(const LaneSource* sources, const float* x, float* y, int64_t begin, int64_t end,
                                  Vec fill) {
  Index index[Sources];
  Mask mask[Sources];
  const float* from[Sources];
  SPARSECPU_UNROLL
  for (int s = 0; s < Sources; ++s) {
    index[s] = load_index(sources[s].index);
    mask[s] = mask_of(sources[s].mask);
    from[s] = x + sources[s].offset;
  }
  for (int64_t c = begin; c < end; ++c) {
    Vec v = fill;
    SPARSECPU_UNROLL
    for (int s = 0; s < Sources; ++s) v = permute_lanes(v, mask[s], load(from[s] + c * kVec), index[s]);
    store(y + c * kVec, v);
  }
}

SPARSECPU_INLINE void permute_all_lanes(const LaneSource& source, const float* x, float* y, int64_t begin,
                                        int64_t end) {
  const Index index = load_index(source.index);
  const float* from = x + source.offset;
  for (int64_t c = begin; c < end; ++c) store(y + c * kVec, permute_lanes(load(from + c * kVec), index));
}

SPARSECPU_INLINE void permute_many(const LaneSource* sources, uint32_t count, const float* x, float* y, int64_t begin,
                                   int64_t end, Vec fill) {
  for (int64_t c = begin; c < end; ++c) {
    Vec v = fill;
    for (uint32_t s = 0; s < count; ++s) {
      const Vec from = load(x + sources[s].offset + c * kVec);
      v = permute_lanes(v, mask_of(sources[s].mask), from, load_index(sources[s].index));
    }
    store(y + c * kVec, v);
  }
}

void permute(const LaneCopy* copies, int64_t count, const LaneSource* all_sources, const float* x, float* y,
             int64_t begin, int64_t end, float fill_value) {
  const Vec fill = set1(fill_value);
  for (int64_t i = 0; i < count; ++i) {
    const LaneSource* sources = all_sources + copies[i].first_source;
    float* to = y + copies[i].destination;
    switch (copies[i].sources) {
      case 0:
        for (int64_t c = begin; c < end; ++c) store(to + c * kVec, fill);
        break;
      case 1:
        if (sources->mask == kAllLanes) {
          permute_all_lanes(*sources, x, to, begin, end);
        } else {
          permute_few<1>(sources, x, to, begin, end, fill);
        }
        break;
      case 2:
        permute_few<2>(sources, x, to, begin, end, fill);
        break;
      case 3:
        permute_few<3>(sources, x, to, begin, end, fill);
        break;
      case 4:
        permute_few<4>(sources, x, to, begin, end, fill);
        break;
      case 5:
        permute_few<5>(sources, x, to, begin, end, fill);
        break;
      case 6:
        permute_few<6>(sources, x, to, begin, end, fill);
        break;
      case 7:
        permute_few<7>(sources, x, to, begin, end, fill);
        break;
      case 8:
        permute_few<8>(sources, x, to, begin, end, fill);
        break;
      default:
        permute_many(sources, copies[i].sources, x, to, begin, end, fill);
    }
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
