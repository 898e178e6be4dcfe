#include "pack/groups.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "base/weight_rows.h"

namespace sparsecpu {
namespace {

// Writes a row's weights of its group of channels, each an s8 in its place; part(weight) is what is written of one.
template <class Part>
void write_groups(const QuantizedLayer& layer, const GroupSpace& space, int64_t row, const int16_t* weights, Part part,
                  std::vector<uint32_t>* groups) {
  const QuantizedWeightView& view = layer.weight;
  const int64_t first = row / (view.rows / layer.groups) * view.channels;
  std::fill(groups->begin(), groups->end(), 0u);
  for (int64_t tap = 0; tap < view.taps; ++tap, weights += view.channels) {
    auto* bytes = reinterpret_cast<uint8_t*>(groups->data() + tap * space.tap_groups) + first;
    for (int64_t c = 0; c < view.channels; ++c) bytes[c] = static_cast<uint8_t>(part(weights[c]));
  }
}

bool all_bytes(const int16_t* weights, int64_t count) {
  bool fit = true;
  for (int64_t i = 0; i < count; ++i) fit &= fits_byte(weights[i]);
  return fit;
}

// Refuses a row with a weight that is no s8.
void check_bytes(const QuantizedLayer& layer, int64_t row, const int16_t* weights) {
  const QuantizedWeightView& view = layer.weight;
  if (all_bytes(weights, view.taps * view.channels)) return;
  for (int64_t channel = 0; channel < view.channels; ++channel) {
    for (int64_t tap = 0; tap < view.taps; ++tap) (void)checked_weight(layer, row, channel, tap);
  }
}

// The sums of a row for every x: of its positive and of its negative weights.
struct RowSums {
  int64_t positive = 0, negative = 0;
};

RowSums row_sums(const int16_t* weights, int64_t count) {
  constexpr int64_t kBlock = 1 << 16;  // of int16, whose sum fits int32
  RowSums sums;
  for (int64_t first = 0; first < count; first += kBlock) {
    int32_t positive = 0, negative = 0;
    for (int64_t i = first; i < std::min(first + kBlock, count); ++i) {
      positive += std::max<int32_t>(weights[i], 0);
      negative += std::min<int32_t>(weights[i], 0);
    }
    sums.positive += positive;
    sums.negative += negative;
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
  std::vector<uint32_t> groups(static_cast<size_t>(space.row_groups));
  for_each_weight_row(layer.weight, [&](int64_t row, const int16_t* weights) {
    check_bytes(layer, row, weights);
    write_groups(layer, space, row, weights, [](int16_t w) { return w; }, &groups);
    visit(row, groups.data());
  });
}

void for_each_wide_row(const QuantizedLayer& layer,
                       const std::function<void(int64_t, const uint32_t*, const uint32_t*)>& visit) {
  if (!layer.weight.wide) {
    return for_each_row(layer, [&](int64_t row, const uint32_t* groups) { visit(row, groups, nullptr); });
  }
  const GroupSpace space = group_space(layer);
  std::vector<uint32_t> low(static_cast<size_t>(space.row_groups)), rest(low.size());
  for_each_weight_row(layer.weight, [&](int64_t row, const int16_t* weights) {
    write_groups(layer, space, row, weights, [](int16_t w) { return low_part(w); }, &low);
    write_groups(layer, space, row, weights, [](int16_t w) { return w - low_part(w); }, &rest);
    visit(row, low.data(), rest.data());
  });
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
  for_each_weight_row(layer.weight, [&](int64_t row, const int16_t* weights) {
    const RowSums sums = row_sums(weights, layer.weight.taps * layer.weight.channels);
    const int64_t bias = layer.bias ? layer.bias[row] : 0;
    const auto bound = static_cast<float>(checked_bound(layer, row, sums, bias));
    if (layer.multiplier)
      rows.largest_product = std::max(rows.largest_product, bound * std::fabs(layer.multiplier[row]));
    const int64_t sum = sums.positive + sums.negative;
    rows.row_sum[static_cast<size_t>(row)] = static_cast<int32_t>(sum);
    // Modulo 2^32, as the kernels add: only the final sum must fit.
    rows.bias[static_cast<size_t>(row)] = static_cast<int32_t>(bias - layer.input_zero_point * sum);
  });
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
