#include "price/weight_counts.h"

#include <cmath>

#include "base/weight_rows.h"

namespace sparsecpu {
namespace {

// Weights that lie next to each other.
void count_line(const float* weights, int64_t count, WeightCount* result) {
  int64_t nonzeros = 0;
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) {
    nonzeros += weights[i] != 0.0f;
    finite &= std::isfinite(weights[i]);
  }
  result->nonzeros += nonzeros;
  result->finite &= finite;
}

// Innermost over whichever axis is contiguous: transposed weights would miss the cache on every step.
WeightCount count(const WeightView& w) {
  WeightCount result;
  result.finite = std::isfinite(w.scale);
  if (w.scale == 0.0f) return result;
  if (w.row_stride == 1 && w.taps == 1) {
    for (int64_t c = 0; c < w.channels; ++c) count_line(w.data + c * w.channel_stride, w.rows, &result);
    return result;
  }
  const bool is_line = w.channel_stride == w.taps && (w.taps == 1 || w.tap_stride == 1);
  for (int64_t r = 0; r < w.rows; ++r) {
    const float* row = w.data + r * w.row_stride;
    if (is_line) {
      count_line(row, w.channels * w.taps, &result);
      continue;
    }
    for (int64_t c = 0; c < w.channels; ++c) {
      for (int64_t t = 0; t < w.taps; ++t) {
        count_line(row + c * w.channel_stride + t * w.tap_stride, 1, &result);
      }
    }
  }
  return result;
}

void count_group(const int16_t* weights, int64_t channels, WeightCount* result) {
  int nonzeros = 0;
  bool fit = true;
  for (int64_t c = 0; c < channels; ++c) {
    nonzeros += weights[c] != 0;
    fit &= fits_byte(weights[c]);
  }
  result->groups += 1;
  result->nonzeros += nonzeros;
  result->nonzero_groups += nonzeros != 0;
  result->wide_groups += !fit;
}

WeightCount count(const QuantizedWeightView& w) {
  WeightCount result;
  for_each_weight_row(w, [&](int64_t, const int16_t* weights) {
    for (int64_t tap = 0; tap < w.taps; ++tap, weights += w.channels) {
      int64_t c = 0;
      for (; c + 4 <= w.channels; c += 4) count_group(weights + c, 4, &result);
      if (c < w.channels) count_group(weights + c, w.channels - c, &result);
    }
  });
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
