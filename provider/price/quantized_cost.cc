// The unit of work is a group of 4 input channels with any nonzero weight: one
// vpdpbusd for 16 positions.
#include "price/quantized_cost.h"

#include <algorithm>
#include <cmath>

namespace sparsecpu {
namespace {

Linear geometry_of(const QuantizedLinear& linear) {
  Linear geometry;
  geometry.axes = linear.axes;
  geometry.in_channels = linear.in_channels;
  geometry.out_channels = linear.out_channels;
  geometry.groups = linear.groups;
  geometry.window = linear.window;
  return geometry;
}

// What the CPU provider takes to gather the inputs of all positions, beside their products.
double gather_us(const Window& window, int64_t positions, double row_ns) {
  const auto rows = static_cast<double>(window.kernel[0]), taps = rows * static_cast<double>(window.kernel[1]);
  return static_cast<double>(positions) * row_ns * (rows + kGatherTap * taps) * 1e-3;
}

}  // namespace

void price_quantized_linear(const QuantizedLinear& linear, const WeightCount& count, const Shape* output, Layer layer,
                            Target target, NodeCost* cost) {
  const QuantizedWeightView& w = linear.weight;
  layer.weights = w.rows * w.channels * w.taps;
  layer.nonzeros = count.nonzeros;
  cost->linear = true;
  cost->finite = std::ranges::all_of(linear.multiplier, [](float m) { return std::isfinite(m); });
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
  if (is_depthwise(geometry) && !w.wide) {
    cost->cpu_us += conv_call_us(geometry, layer, speed.cpu_end) + work / speed.depthwise_cpu;
    cost->here_us += work * layer.waste / speed.depthwise;
    cost->form = LayerForm::kDepthwise;
    return;
  }
  const LayerWork lanes{true, linear.out_channels, count.groups / std::max<int64_t>(1, w.rows), layer.vectors, w.wide};
  const auto stored = static_cast<double>(count.nonzero_groups + count.wide_groups);
  double cpu = work / speed.cpu;
  if (linear.groups > 1) cpu *= 1 + kGroupChannels / static_cast<double>(w.channels);
  if (w.taps > 1 && w.channels < kFewChannels) cpu += gather_us(linear.window, layer.positions, speed.gather_row);
  cpu += conv_call_us(geometry, layer, speed.cpu_end);
  if (!w.wide && runs_few_rows(geometry, layer, *output)) {
    const KernelChoice choice = fastest_row_major(lanes, stored, layer.positions, layer.open, target.isa);
    cpu = kCallUs + few_rows_cpu_us(lanes, layer.positions, target.isa, !target.cached);
    cost->needed_density = few_rows_share(/*bytes=*/true, layer.positions);
    cost->here_us += choice.us;
    cost->form = choice.form;
  } else {
    const KernelChoice choice = fastest_in_lanes(lanes, stored, linear.groups == 1, target);
    cost->needed_density = break_even(lanes, worth_us(cpu, target, /*bytes=*/true), target);
    cost->here_us += choice.us + border_us(layer, target.isa) / 4;
    cost->form = choice.form;
  }
  cost->cpu_us += cpu;
  // Without pruning, integer layers are not worth a claim, whatever the prediction says.
  cost->sparse_wins |= skips_zeros(cost->form) && cost->group_density < 1 &&
                       stored / static_cast<double>(count.groups) <= cost->needed_density;
}

}  // namespace sparsecpu
