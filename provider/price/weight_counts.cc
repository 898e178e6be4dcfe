#include "price/weight_counts.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace sparsecpu {
namespace {

// Innermost over whichever axis is contiguous: transposed weights would miss the cache on every step.
WeightCount count(const WeightView& w) {
  WeightCount result;
  result.finite = std::isfinite(w.scale);
  if (w.scale == 0.0f) return result;
  const bool rows_inside = w.row_stride == 1 && w.taps == 1;
  for (int64_t a = 0; a < (rows_inside ? w.channels : w.rows); ++a) {
    const float* line = w.data + a * (rows_inside ? w.channel_stride : w.row_stride);
    for (int64_t b = 0; b < (rows_inside ? w.rows : w.channels); ++b) {
      const float* taps = line + b * (rows_inside ? w.row_stride : w.channel_stride);
      for (int64_t t = 0; t < w.taps; ++t) {
        const float weight = taps[t * w.tap_stride];
        result.nonzeros += weight != 0.0f;
        result.finite &= std::isfinite(weight);
      }
    }
  }
  return result;
}

// The groups of `width` weights that lie next to each other: at(channel, i) is the i-th of them.
template <class At>
void add_groups(int64_t channels, int64_t width, const At& at, WeightCount* count) {
  constexpr uint8_t kNonzero = 1, kWide = 2;
  std::vector<uint8_t> any(width);
  for (int64_t first = 0; first < channels; first += 4) {
    std::fill(any.begin(), any.end(), uint8_t{0});
    for (int64_t c = first; c < std::min(first + 4, channels); ++c) {
      for (int64_t i = 0; i < width; ++i) {
        const int32_t q = at(c, i);
        count->nonzeros += q != 0;
        any[i] |= q == 0 ? 0 : fits_byte(q) ? kNonzero : kNonzero | kWide;
      }
    }
    count->nonzero_groups += width - std::count(any.begin(), any.end(), uint8_t{0});
    count->wide_groups += std::count_if(any.begin(), any.end(), [](uint8_t found) { return (found & kWide) != 0; });
    count->groups += width;
  }
}

WeightCount count(const QuantizedWeightView& w) {
  WeightCount result;
  if (w.row_stride == 1 && w.taps == 1) {
    add_groups(w.channels, w.rows, [&](int64_t c, int64_t r) { return w.at(r, c, 0); }, &result);
    return result;
  }
  for (int64_t r = 0; r < w.rows; ++r) {
    add_groups(w.channels, w.taps, [&](int64_t c, int64_t t) { return w.at(r, c, t); }, &result);
  }
  return result;
}

}  // namespace

const WeightCount& WeightCounts::of(const WeightView& w) {
  const auto [at, fresh] = counts_.try_emplace(
      {w.data, nullptr, w.scale == 0.0f, w.rows, w.channels, w.taps, w.row_stride, w.channel_stride});
  if (fresh) at->second = count(w);
  return at->second;
}

const WeightCount& WeightCounts::of(const QuantizedWeightView& w) {
  const auto [at, fresh] =
      counts_.try_emplace({w.data, w.zero_points, false, w.rows, w.channels, w.taps, w.row_stride, w.channel_stride});
  if (fresh) at->second = count(w);
  return at->second;
}

int64_t dense_weight_bytes(const Op& op) {
  const std::optional<LinearShape> layer = op.layer();
  return layer ? layer->out_channels * (layer->in_channels / layer->groups) * layer->taps * layer->weight_bytes : 0;
}

}  // namespace sparsecpu
