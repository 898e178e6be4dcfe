#include "pack/groups.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

namespace sparsecpu {
namespace {

// part(row, channel, tap): what is read of that weight, an s8.
template <class Part>
void read_strip(const QuantizedLayer& layer, int64_t first, int64_t last, const GroupSpace& space, Part part,
                std::vector<uint32_t>* strip) {
  const QuantizedWeightView& weight = layer.weight;
  const int64_t rows_per_group = weight.rows / layer.groups;
  std::fill(strip->begin(), strip->end(), 0u);
  for (int64_t tap = 0; tap < weight.taps; ++tap) {
    for (int64_t channel = 0; channel < weight.channels; ++channel) {
      for (int64_t row = first; row < last; ++row) {
        const int64_t at = row / rows_per_group * weight.channels + channel;
        const uint32_t byte = static_cast<uint8_t>(part(row, channel, tap));
        (*strip)[static_cast<size_t>((row - first) * space.row_groups + tap * space.tap_groups + at / 4)] |=
            byte << (8 * (at % 4));
      }
    }
  }
}

// The sums of a row for every x: of its positive and of its negative weights.
struct RowSums {
  int64_t positive = 0, negative = 0;
};

RowSums row_sums(const QuantizedLayer& layer, int64_t row) {
  RowSums sums;
  for (int64_t channel = 0; channel < layer.weight.channels; ++channel) {
    for (int64_t tap = 0; tap < layer.weight.taps; ++tap) {
      const int32_t w = layer.weight.at(row, channel, tap);
      (w > 0 ? sums.positive : sums.negative) += w;
    }
  }
  return sums;
}

// The largest magnitude that the row's sum can have. Refuses a row if some x gives a sum outside int32.
int64_t checked_bound(const QuantizedLayer& layer, int64_t row, const RowSums& sums, int64_t bias) {
  int64_t most = 255 * sums.positive, least = 255 * sums.negative;
  if (layer.dynamic_input) {
    most -= least;  // x - zero point lies in -255..255
    least = -most;
  } else {
    most -= layer.input_zero_point * (sums.positive + sums.negative);
    least -= layer.input_zero_point * (sums.positive + sums.negative);
  }
  if (most + bias > std::numeric_limits<int32_t>::max() || least + bias < std::numeric_limits<int32_t>::min()) {
    throw Error("output channel " + std::to_string(row) + " of a quantized layer may sum to " +
                std::to_string(least + bias) + ".." + std::to_string(most + bias) + ", which does not fit 32 bits");
  }
  return std::max(std::abs(most + bias), std::abs(least + bias));
}

}  // namespace

void check_layer(const QuantizedLayer& layer) {
  const QuantizedWeightView& weight = layer.weight;
  const LayerWeights extents{
      .weight = {nullptr, weight.rows, weight.channels, weight.taps}, .groups = layer.groups, .kernel = layer.kernel};
  check_layer(extents);
  if (layer.input_zero_point < 0 || layer.input_zero_point > 255) {
    throw Error("the zero point of a quantized layer's input is " + std::to_string(layer.input_zero_point) +
                "; stored as u8 it lies in 0..255");
  }
}

int8_t checked_weight(const QuantizedLayer& layer, int64_t row, int64_t channel, int64_t tap) {
  const int w = layer.weight.at(row, channel, tap);
  if (w < -128 || w > 127) {
    throw Error("the weight of output channel " + std::to_string(row) + ", input channel " + std::to_string(channel) +
                " is " + std::to_string(w) + " without its zero point; -128..127 are supported");
  }
  return static_cast<int8_t>(w);
}

GroupSpace group_space(const QuantizedLayer& layer) {
  check_layer(layer);
  const int64_t tap_groups = ceil_div(checked_mul(layer.groups, layer.weight.channels), 4);
  const int64_t row_groups = checked_mul(tap_groups, layer.weight.taps);
  if (row_groups > std::numeric_limits<uint32_t>::max()) {
    throw Error("a quantized layer with " + std::to_string(row_groups) +
                " groups of inputs an output is too large; 2^32 - 1 is the limit");
  }
  return {tap_groups, row_groups};
}

void for_each_row(const QuantizedLayer& layer, const std::function<void(int64_t, const uint32_t*)>& visit) {
  const GroupSpace space = group_space(layer);
  std::vector<uint32_t> strip(static_cast<size_t>(checked_mul(space.row_groups, kStripRows)));
  const auto whole = [&](int64_t row, int64_t channel, int64_t tap) {
    return checked_weight(layer, row, channel, tap);
  };
  for (int64_t first = 0; first < layer.weight.rows; first += kStripRows) {
    const int64_t last = std::min(first + kStripRows, layer.weight.rows);
    read_strip(layer, first, last, space, whole, &strip);
    for (int64_t row = first; row < last; ++row) visit(row, strip.data() + (row - first) * space.row_groups);
  }
}

void for_each_wide_row(const QuantizedLayer& layer,
                       const std::function<void(int64_t, const uint32_t*, const uint32_t*)>& visit) {
  if (!layer.weight.wide) {
    return for_each_row(layer, [&](int64_t row, const uint32_t* groups) { visit(row, groups, nullptr); });
  }
  const GroupSpace space = group_space(layer);
  std::vector<uint32_t> low(static_cast<size_t>(checked_mul(space.row_groups, kStripRows))), rest(low.size());
  const QuantizedWeightView& w = layer.weight;
  const auto low_of = [&](int64_t row, int64_t channel, int64_t tap) { return low_part(w.at(row, channel, tap)); };
  const auto rest_of = [&](int64_t row, int64_t channel, int64_t tap) {
    const int32_t q = w.at(row, channel, tap);
    return q - low_part(q);
  };
  for (int64_t first = 0; first < w.rows; first += kStripRows) {
    const int64_t last = std::min(first + kStripRows, w.rows);
    read_strip(layer, first, last, space, low_of, &low);
    read_strip(layer, first, last, space, rest_of, &rest);
    for (int64_t row = first; row < last; ++row) {
      const int64_t at = (row - first) * space.row_groups;
      visit(row, low.data() + at, rest.data() + at);
    }
  }
}

QuantizedRows quantized_rows(const QuantizedLayer& layer) {
  check_layer(layer);
  const size_t padded = static_cast<size_t>(round_up(layer.weight.rows, kQuantizedRows));
  QuantizedRows rows;
  rows.bias.resize(padded);
  rows.row_sum.resize(padded);
  if (layer.multiplier) {
    rows.multiplier.resize(padded);
    std::copy_n(layer.multiplier, layer.weight.rows, rows.multiplier.begin());
  }
  for (int64_t row = 0; row < layer.weight.rows; ++row) {
    const RowSums sums = row_sums(layer, row);
    const int64_t bias = layer.bias ? layer.bias[row] : 0;
    const auto bound = static_cast<float>(checked_bound(layer, row, sums, bias));
    if (layer.multiplier)
      rows.largest_product = std::max(rows.largest_product, bound * std::fabs(layer.multiplier[row]));
    const int64_t sum = sums.positive + sums.negative;
    rows.row_sum[static_cast<size_t>(row)] = static_cast<int32_t>(sum);
    // Modulo 2^32, as the kernels add: only the final sum must fit.
    rows.bias[static_cast<size_t>(row)] = static_cast<int32_t>(bias - layer.input_zero_point * sum);
  }
  return rows;
}

int64_t QuantizedLayer::nonzero_groups() const {
  const int64_t row_groups = group_space(*this).row_groups;
  int64_t count = 0;
  const auto is_stored = [](uint32_t group) { return group != 0; };
  for_each_wide_row(*this, [&](int64_t, const uint32_t* groups, const uint32_t* rest) {
    count += std::count_if(groups, groups + row_groups, is_stored);
    if (rest != nullptr) count += std::count_if(rest, rest + row_groups, is_stored);
  });
  return count;
}

}  // namespace sparsecpu
