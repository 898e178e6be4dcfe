// Prices of quantized layers. The unit of work is a group of 4 input channels with any nonzero weight: one
// vpdpbusd for 16 positions.
#include <algorithm>

#include "claim/layer_cost.h"

namespace sparsecpu {
namespace {

// The groups of `width` weights that lie next to each other: at(channel, i) is the i-th of them.
template <class At>
void add_groups(int64_t channels, int64_t width, const At& at, WeightCount* count) {
  std::vector<uint8_t> any(width);
  for (int64_t first = 0; first < channels; first += 4) {
    std::fill(any.begin(), any.end(), uint8_t{0});
    for (int64_t c = first; c < std::min(first + 4, channels); ++c) {
      for (int64_t i = 0; i < width; ++i) {
        const bool nonzero = at(c, i) != 0;
        count->nonzeros += nonzero;
        any[i] |= static_cast<uint8_t>(nonzero);
      }
    }
    count->nonzero_groups += std::count(any.begin(), any.end(), uint8_t{1});
    count->groups += width;
  }
}

// Innermost over whichever axis is contiguous: transposed weights would miss the cache on every step.
WeightCount count_groups(const QuantizedWeightView& w) {
  WeightCount count;
  if (w.row_stride == 1 && w.taps == 1) {
    add_groups(w.channels, w.rows, [&](int64_t c, int64_t r) { return w.at(r, c, 0); }, &count);
    return count;
  }
  for (int64_t r = 0; r < w.rows; ++r) {
    add_groups(w.channels, w.taps, [&](int64_t c, int64_t t) { return w.at(r, c, t); }, &count);
  }
  return count;
}

Linear geometry_of(const QuantizedLinear& linear) {
  Linear geometry;
  geometry.axes = linear.axes;
  geometry.in_channels = linear.in_channels;
  geometry.out_channels = linear.out_channels;
  geometry.groups = linear.groups;
  geometry.window = linear.window;
  return geometry;
}

}  // namespace

void price_quantized_linear(const QuantizedLinear& linear, const Shape* output, Target target, NodeCost* cost,
                            WeightCounts* counts) {
  const QuantizedWeightView& w = linear.weight;
  const auto [counted, is_new] = counts->try_emplace(weight_key(w, reinterpret_cast<intptr_t>(w.zero_points)));
  if (is_new) counted->second = count_groups(w);
  const WeightCount& count = counted->second;
  Layer layer;
  layer.weights = w.rows * w.channels * w.taps;
  layer.nonzeros = count.nonzeros;
  cost->linear = true;
  cost->dense_bytes += layer.weights;
  cost->sparsity = 1.0 - static_cast<double>(count.nonzeros) / static_cast<double>(layer.weights);
  cost->group_density = static_cast<double>(count.nonzero_groups) / static_cast<double>(count.groups);
  if (output == nullptr) return;
  const LayerSpeed& speed = layer_speed(target.isa, /*bytes=*/true);
  const Linear geometry = geometry_of(linear);
  place_layer(geometry, *output, &layer);
  cost->multiply_adds += static_cast<double>(layer.weights) * static_cast<double>(layer.positions);
  cost->situation = situation(geometry, layer, *output);
  const double work = 2.0 * static_cast<double>(layer.weights) * static_cast<double>(layer.positions) * 1e-3;
  if (is_depthwise(geometry)) {
    cost->cpu_us += conv_call_us(geometry, layer, kByteOutputNs) + work / speed.depthwise_cpu;
    cost->here_us += work * layer.waste / speed.depthwise;
    cost->kernel = "depthwise";
    return;
  }
  const LayerWork lanes{true, linear.out_channels, count.groups / std::max<int64_t>(1, w.rows), layer.vectors};
  const auto stored = static_cast<double>(count.nonzero_groups);
  double cpu = work / speed.cpu, sparse = 0, dense = 0;
  if (w.taps > 1 && w.channels < kFewChannels) cpu *= kFewChannelsSlowdown;
  if (linear.groups > 1) cpu *= 1 + kGroupChannels / static_cast<double>(w.channels);
  cpu += conv_call_us(geometry, layer, kByteOutputNs);
  if (layer.positions < kFewRows && w.taps == 1) {
    cpu = kCallUs + few_rows_cpu_us(lanes, layer.positions, target.isa);
    cost->needed_density = few_rows_share(/*bytes=*/true, layer.positions);
    sparse = few_rows_sparse_us(lanes, stored, layer.positions, target.isa);
    dense = few_rows_dense_us(lanes, layer.positions, target.isa);
  } else {
    sparse = sparse_us(lanes, stored, target);
    cost->needed_density = break_even(lanes, worth_us(cpu, target, /*bytes=*/true), target);
    dense = linear.groups > 1 ? sparse : dense_us(lanes, target.isa);
  }
  cost->cpu_us += cpu;
  cost->here_us += std::min(sparse, dense);
  cost->kernel = sparse <= dense ? "sparse" : "dense";
  // Without pruning, integer layers are not worth a claim, whatever the prediction says.
  cost->sparse_wins |=
      cost->kernel == "sparse" && cost->group_density < 1 && cost->group_density <= cost->needed_density;
}

}  // namespace sparsecpu
