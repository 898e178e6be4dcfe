// Normalization of an image's channels in groups, whose statistics span positions and lanes. Moments are taken in two
// passes, as in layer_norm.h, of each lane for itself; what is known of all of a group then normalizes it.
#pragma once
#include "kernels/impl/layer_norm.h"
#include "kernels/impl/vec.h"
#include "kernels/kernels.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// Sum of term(vector) over channels and positions, zero in the lanes that a position has not.
template <class Sum, class F>
SPARSECPU_INLINE Sum sum_of_lanes(const float* x, const ptrdiff_t* offset, const uint16_t* mask, int64_t positions,
                                  int64_t channels, F term) {
  Sum sum[kNormSums];
  for (int64_t p = 0; p < positions; ++p) {
    const Mask lanes = mask_of(mask[p]);
    const float* from = x + offset[p];
    const auto value = [&](int64_t c) { return select(lanes, term(load(from + c * kVec)), zero()); };
    int64_t c = 0;
    for (; c + kNormSums <= channels; c += kNormSums) {
      SPARSECPU_UNROLL
      for (int s = 0; s < kNormSums; ++s) sum[s].add_one(value(c + s));
    }
    for (; c < channels; ++c) sum[0].add_one(value(c));
  }
  sum[0].add_all(sum[1]);
  sum[2].add_all(sum[3]);
  sum[0].add_all(sum[2]);
  return sum[0];
}

void lane_moments(const float* x, const ptrdiff_t* offset, const uint16_t* mask, int64_t positions, int64_t channels,
                  LaneMoments* moments) {
  const Vec each = set1(static_cast<float>(channels));
  Vec count = zero();
  for (int64_t p = 0; p < positions; ++p) count = add(count, select(mask_of(mask[p]), each, zero()));
  const NormSum sum = sum_of_lanes<NormSum>(x, offset, mask, positions, channels, [](Vec v) { return v; });
  const Vec centre = div(sum.total, max(count, set1(1.0f)));
  const NormSums sums =
      sum_of_lanes<NormSums>(x, offset, mask, positions, channels, [&](Vec v) { return sub(v, centre); });
  store(moments->count, count);
  store(moments->centre, centre);
  store(moments->distance, sums.distance);
  store(moments->square, sums.square);
}

void normalize(const LaneUnits& units, const float* scale, const float* offset, const float* x, float* y,
               int64_t channels) {
  const Vec centre = load(units.centre), factor = load(units.factor), shift = load(units.shift);
  for (int64_t c = 0; c < channels; ++c) {
    const Vec unit = fma(sub(load(x + c * kVec), centre), factor, shift);
    store(y + c * kVec, fma(unit, set1(scale[c]), set1(offset[c])));
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
