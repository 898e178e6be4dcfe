#include "pack/fold.h"

#include <algorithm>
#include <limits>
#include <string>

namespace sparsecpu {
namespace {

// Rows are read in strips, so that both row-major weights and their transpose are read a cache line at a time.
constexpr int64_t kStrip = 16;

struct Strip {
  std::vector<uint32_t> k[kStrip];
  std::vector<float> value[kStrip];
};

void collect_strip(const LayerWeights& layer, int64_t first, int64_t last, Strip* strip) {
  const int64_t rows_per_group = layer.weight.rows / layer.groups;
  const int64_t columns = layer.groups * layer.weight.channels;
  for (int64_t tap = 0; tap < layer.weight.taps; ++tap) {
    for (int64_t channel = 0; channel < layer.weight.channels; ++channel) {
      for (int64_t row = first; row < last; ++row) {
        const float value = folded_weight(layer, row, channel, tap);
        if (!is_nonzero(value)) continue;
        const int64_t group = row / rows_per_group;
        strip->k[row - first].push_back(static_cast<uint32_t>(tap * columns + group * layer.weight.channels + channel));
        strip->value[row - first].push_back(value);
      }
    }
  }
}

}  // namespace

void check_layer(const LayerWeights& layer) {
  const WeightView& weight = layer.weight;
  if (weight.rows < 1 || weight.channels < 1 || weight.taps < 1 || layer.groups < 1) {
    throw Error("a linear layer needs at least one row, channel, tap and group; found " + std::to_string(weight.rows) +
                ", " + std::to_string(weight.channels) + ", " + std::to_string(weight.taps) + ", " +
                std::to_string(layer.groups));
  }
  if (weight.rows % layer.groups != 0) {
    throw Error("the " + std::to_string(weight.rows) + " output channels of a convolution are not divisible by its " +
                std::to_string(layer.groups) + " groups");
  }
  if (checked_mul(layer.kernel[0], layer.kernel[1]) != weight.taps) {
    throw Error("a kernel of " + std::to_string(layer.kernel[0]) + "x" + std::to_string(layer.kernel[1]) +
                " does not have " + std::to_string(weight.taps) + " taps");
  }
}

int64_t LayerWeights::nonzeros() const {
  int64_t count = 0;
  const bool rows_inside = weight.row_stride < weight.channel_stride;
  const int64_t outer = rows_inside ? weight.channels : weight.rows;
  const int64_t inner = rows_inside ? weight.rows : weight.channels;
  for (int64_t i = 0; i < outer; ++i) {
    for (int64_t j = 0; j < inner; ++j) {
      for (int64_t tap = 0; tap < weight.taps; ++tap) {
        count += is_nonzero(rows_inside ? weight.at(j, i, tap) : weight.at(i, j, tap));
      }
    }
  }
  return count;
}

Nonzeros collect_nonzeros(const LayerWeights& layer) {
  check_layer(layer);
  Nonzeros all;
  all.columns = checked_mul(checked_mul(layer.groups, layer.weight.channels), layer.weight.taps);
  if (all.columns > std::numeric_limits<uint32_t>::max()) {
    throw Error("a layer with " + std::to_string(all.columns) +
                " inputs an output is too large; 2^32 - 1 is the limit");
  }
  all.begin.push_back(0);
  Strip strip;
  for (int64_t first = 0; first < layer.weight.rows; first += kStrip) {
    const int64_t last = std::min(first + kStrip, layer.weight.rows);
    collect_strip(layer, first, last, &strip);
    for (int64_t i = 0; i < last - first; ++i) {
      all.k.insert(all.k.end(), strip.k[i].begin(), strip.k[i].end());
      all.value.insert(all.value.end(), strip.value[i].begin(), strip.value[i].end());
      all.begin.push_back(static_cast<int64_t>(all.k.size()));
      strip.k[i].clear();
      strip.value[i].clear();
    }
  }
  if (all.begin.back() > std::numeric_limits<uint32_t>::max()) {
    throw Error("a layer with " + std::to_string(all.begin.back()) +
                " nonzero weights is too large; 2^32 - 1 is the limit");
  }
  return all;
}

}  // namespace sparsecpu
