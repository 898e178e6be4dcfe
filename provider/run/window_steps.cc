#include "run/window_steps.h"

#include <algorithm>

namespace sparsecpu {

void PoolStep::lane_scale(PositionRange::At at, float* scale) const noexcept {
  for (int block_h = 0; block_h < geometry.lanes_h; ++block_h) {
    for (int block_w = 0; block_w < geometry.lanes_w; ++block_w) {
      const float covered = rows_covered[static_cast<size_t>(block_h * positions.rows + at.row)] *
                            columns_covered[static_cast<size_t>(block_w * positions.columns + at.column)];
      const float value = covered > 0 ? 1.0f / covered : 0.0f;
      for (int image = 0; image < geometry.lanes_n; ++image) scale[geometry.lane(image, block_h, block_w)] = value;
    }
  }
}

void PoolStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(positions.count(), chunk, chunks);
  constexpr int64_t kTapsAtOnce = 64;       // larger windows are pooled in parts
  const float* sources[kTapsAtOnce + 1];
  alignas(64) float scale[kLanes];
  const int64_t count = channels * kLanes;
  const int64_t tap_count = static_cast<int64_t>(taps.size());
  for (int64_t i = share.begin; i < share.end; ++i) {
    const PositionRange::At at = positions.at(i);
    const float* in = frame.at(x.ref) + x.offset(at.group, at.row, at.column);
    float* out = frame.at(y.ref) + y.offset(at.group, at.row, at.column);
    for (int64_t first = 0; first < tap_count; first += kTapsAtOnce) {
      const int64_t last = std::min(tap_count, first + kTapsAtOnce);
      int n = 0;
      if (first > 0) sources[n++] = out;
      for (int64_t t = first; t < last; ++t) sources[n++] = in + taps[static_cast<size_t>(t)];
      if (!average) {
        kernels->pool_max(sources, n, out, count);
        continue;
      }
      std::fill_n(scale, kLanes, 1.0f);
      if (last == tap_count) lane_scale(at, scale);
      kernels->pool_average(sources, n, scale, out, count);
    }
  }
}

void GlobalAverageStep::run(int chunk, const Frame& frame) const noexcept {
  constexpr int64_t kChannelsAtOnce = 32;
  alignas(64) float sums[kChannelsAtOnce * kLanes];
  const Geometry& g = x.geometry;
  const int lanes_per_image = g.lanes_h * g.lanes_w;
  const float pixels = static_cast<float>(g.h * g.w);
  const Share share = share_of(x.channels, chunk, chunks);
  for (int64_t group = 0; group < g.groups(); ++group) {
    const float* in = frame.at(x.ref) + group * x.group_stride();
    for (int64_t c = share.begin; c < share.end; c += kChannelsAtOnce) {
      const int64_t end = std::min(share.end, c + kChannelsAtOnce);
      kernels->sum_positions(in + c * kLanes, offsets.data(), masks.data(), static_cast<int64_t>(offsets.size()), 0,
                             end - c, sums);
      for (int64_t image = 0; image < g.lanes_n && group * g.lanes_n + image < g.n; ++image) {
        float* out = frame.at(y) + (group * g.lanes_n + image) * x.channels;
        for (int64_t k = c; k < end; ++k) {
          const float* lanes = sums + (k - c) * kLanes + image * lanes_per_image;
          float total = 0;
          for (int l = 0; l < lanes_per_image; ++l) total += lanes[l];
          out[k] = total / pixels;
        }
      }
    }
  }
}

}  // namespace sparsecpu
