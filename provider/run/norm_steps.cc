#include "run/norm_steps.h"

#include <algorithm>
#include <cmath>

namespace sparsecpu {

void RowNormStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(tokens, chunk, chunks);
  const int64_t channels = static_cast<int64_t>(parameters.scale.size());
  for (int64_t t = share.begin; t < share.end; ++t) {
    kernels->layer_norm_row(parameters.view(), frame.at(x) + t * channels, frame.at(y) + t * channels, channels);
  }
}

void GroupMomentsStep::run(int chunk, const Frame& frame) const noexcept {
  auto* moments = reinterpret_cast<LaneMoments*>(frame.at(parts.moments));
  const auto positions = static_cast<int64_t>(offsets.size());
  const Share share = share_of(parts.moment_count(), chunk, chunks);
  for (int64_t i = share.begin; i < share.end; ++i) {
    const int64_t group = i % parts.groups, block = i / parts.groups % parts.blocks;
    const int64_t batch_group = i / (parts.groups * parts.blocks);
    const int64_t begin = positions * block / parts.blocks, end = positions * (block + 1) / parts.blocks;
    const float* from = frame.at(x.ref) + batch_group * x.group_step + group * parts.channels * kLanes;
    kernels->lane_moments(from, offsets.data() + begin, masks.data() + begin, end - begin, parts.channels, moments + i);
  }
}

void GroupUnitsStep::run(int chunk, const Frame& frame) const noexcept {
  const auto* moments = reinterpret_cast<const LaneMoments*>(frame.at(parts.moments));
  auto* to = reinterpret_cast<LaneUnits*>(frame.at(units));
  const int lanes = parts.geometry.lanes_h * parts.geometry.lanes_w;  // of an image
  const Share share = share_of(parts.unit_count(), chunk, chunks);
  for (int64_t unit = share.begin; unit < share.end; ++unit) {
    const int64_t first = unit / parts.groups * parts.groups * parts.blocks + unit % parts.groups;
    for (int lane = 0; lane < kLanes; lane += lanes) set_lanes(moments + first, lane, lane + lanes, to + unit);
  }
}

// Of one image. The first lane of the first block holds its first pixel: what lies about there is added up with little
// loss, whatever it is away from zero.
void GroupUnitsStep::set_lanes(const LaneMoments* first, int begin, int end, LaneUnits* to) const noexcept {
  const double near = first->centre[begin];
  double count = 0, distance = 0, square = 0;
  for (int64_t block = 0; block < parts.blocks; ++block) {
    const LaneMoments& part = first[block * parts.groups];
    for (int l = begin; l < end; ++l) {
      const double apart = part.centre[l] - near, held = part.count[l];
      count += held;
      distance += part.distance[l] + held * apart;
      square += part.square[l] + apart * (2.0 * part.distance[l] + held * apart);
    }
  }
  const double offset = distance / count, variance = std::max(square / count - offset * offset, 0.0);
  const double mean = near + offset, factor = 1.0 / std::sqrt(variance + epsilon);
  const auto centre = static_cast<float>(mean);
  for (int l = begin; l < end; ++l) {
    to->centre[l] = centre;
    to->factor[l] = static_cast<float>(factor);
    to->shift[l] = static_cast<float>((centre - mean) * factor);
  }
}

void LaneGroupNormStep::compute(const float* in, float* out, PositionRange::At at, const Frame& frame) const noexcept {
  const auto* unit = reinterpret_cast<const LaneUnits*>(frame.at(units)) + at.group * groups;
  const int64_t channels = vectors / groups;
  for (int64_t group = 0, first = 0; group < groups; ++group, first += channels) {
    kernels->normalize(unit[group], parameters.scale.data() + first, parameters.shift.data() + first,
                       in + first * kLanes, out + first * kLanes, channels);
  }
  if (post) kernels->unary(post->kind, post->a, post->b, out, out, vectors * kLanes);
}

}  // namespace sparsecpu
