#include "price/layer_cost.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/memory.h"

namespace sparsecpu {
namespace {

// How n images of h x w pixels are cut into 16 lanes, over images, rows and columns.
struct LaneSplit {
  int64_t groups = 1, step_h = 1, step_w = 1;  // positions of a lane
  int64_t vectors() const { return groups * step_h * step_w; }
};
LaneSplit split_lanes(int64_t n, int64_t h, int64_t w) {
  LaneSplit best;
  int64_t fewest = INT64_MAX;
  for (int64_t images = 1; images <= 16; images *= 2) {
    for (int64_t rows = 1; images * rows <= 16; rows *= 2) {
      const LaneSplit split{ceil_div(n, images), ceil_div(h, rows), ceil_div(w, 16 / (images * rows))};
      if (split.vectors() >= fewest) continue;
      fewest = split.vectors();
      best = split;
    }
  }
  return best;
}

// Vectors of the input that a wide window copies at the borders of lanes. Fewer are part of a layer's measured time.
// A double: of sizes that a file only declares, windows may reach past what counts anything.
double border_vectors(const Window& window, const LaneSplit& split) {
  constexpr double kWide = 8;  // times the image itself
  const auto inside = [&](int axis, int64_t step) {
    return static_cast<double>(window.stride[axis]) * static_cast<double>(step);
  };
  const auto reach = [&](int axis, int64_t step) {
    return inside(axis, step - 1) + static_cast<double>((window.kernel[axis] - 1) * window.dilation[axis] + 1);
  };
  const double own = inside(0, split.step_h) * inside(1, split.step_w);
  const double all = reach(0, split.step_h) * reach(1, split.step_w);
  return all > kWide * own ? static_cast<double>(split.groups) * (all - own) : 0;
}

}  // namespace

void place_layer(const Linear& linear, const Shape& output, Layer* layer) {
  layer->positions = element_count(output) / std::max<int64_t>(1, linear.out_channels);
  if (linear.axes == Axes::kImage) {
    const int64_t h = output.size() == 4 ? output[2] : 1;
    const LaneSplit split = split_lanes(output[0], h, output.back());
    layer->vectors = split.vectors();
    layer->border_vectors = border_vectors(linear.window, split) * static_cast<double>(linear.in_channels);
  } else {
    layer->vectors = ceil_div(layer->positions, 16);
  }
  if (layer->positions > 0)
    layer->waste = 16 * static_cast<double>(layer->vectors) / static_cast<double>(layer->positions);
}

bool runs_few_rows(const Linear& linear, const Layer& layer, const Shape& output) {
  const bool channels_last = linear.axes == Axes::kTokens || layer.positions <= output[0];
  return channels_last && layer.positions < kFewRows && linear.window.kernel == std::array<int64_t, 2>{1, 1};
}

double border_us(const Layer& layer, Isa isa) {
  return 2.0 * 16 * sizeof(float) * layer.border_vectors / pass_speed(isa).convert * 1e-3;
}

double conv_call_us(const Linear& linear, const Layer& layer, double output_ns) {
  if (linear.axes == Axes::kTokens) return kCallUs;
  return kConvUs + output_ns * static_cast<double>(layer.positions * linear.out_channels) * 1e-3;
}

std::string situation(const Linear& linear, const Layer& layer, const Shape& output) {
  if (linear.axes == Axes::kTokens) {
    return "a matrix product of " + std::to_string(layer.positions) + (layer.positions == 1 ? " row" : " rows");
  }
  const auto& kernel = linear.window.kernel;
  const std::string size = output.size() == 4 ? std::to_string(output[2]) + "x" + std::to_string(output[3])
                                              : std::to_string(output.back()) + " positions";
  return "a " + std::to_string(kernel[0]) + "x" + std::to_string(kernel[1]) + " convolution at " + size;
}

namespace {

LayerWork work_of(const Linear& linear, const Layer& layer) {
  return {false, linear.out_channels, linear.weight.channels * linear.weight.taps, layer.vectors};
}

void price_few_rows(const Linear& linear, const Layer& layer, Target target, NodeCost* cost) {
  const LayerWork work = work_of(linear, layer);
  cost->cpu_us = kCallUs + few_rows_cpu_us(work, layer.positions, target.isa, !target.cached);
  cost->needed_sparsity = 1 - few_rows_share(/*bytes=*/false, layer.positions);
  const auto stored = static_cast<double>(layer.nonzeros);
  const KernelChoice choice = fastest_row_major(work, stored, layer.positions, layer.open, target.isa);
  cost->here_us = choice.us;
  cost->form = choice.form;
}

void price_many_rows(const Linear& linear, const Layer& layer, Target target, NodeCost* cost) {
  const double flops = 2.0 * static_cast<double>(layer.weights) * static_cast<double>(layer.positions);
  const bool thin = linear.groups > 1 && linear.weight.channels < kThinGroup;
  const LayerSpeed& speed = layer_speed(target.isa, /*bytes=*/false);
  cost->cpu_us = conv_call_us(linear, layer, speed.cpu_end) + flops / speed.cpu * (thin ? kThinSlowdown : 1.0) * 1e-3;
  const LayerWork work = work_of(linear, layer);
  if (linear.axes == Axes::kTokens && !target.cached &&
      speed.remote_bytes < speed.weight_bytes) {  // rows hardly hide the reading
    cost->cpu_us =
        std::max(cost->cpu_us, kCallUs + few_rows_cpu_us(work, layer.positions, target.isa, /*remote=*/true));
  }
  const KernelChoice choice = fastest_in_lanes(work, static_cast<double>(layer.nonzeros), linear.groups == 1, target);
  cost->needed_sparsity = 1 - break_even(work, worth_us(cost->cpu_us, target, /*bytes=*/false), target);
  cost->here_us = choice.us + border_us(layer, target.isa);
  cost->form = choice.form;
}

}  // namespace

void count_weights(const Linear& linear, WeightCounts* counts, Layer* layer, NodeCost* cost) {
  layer->nonzeros = counts->of(linear.weight).nonzeros;
  cost->finite = counts->of(linear.weight).finite;
  layer->weights = linear.weight.rows * linear.weight.channels * linear.weight.taps;
  cost->linear = true;
  cost->dense_bytes = layer->weights * static_cast<int64_t>(sizeof(float));
  cost->sparsity = 1.0 - static_cast<double>(layer->nonzeros) / static_cast<double>(layer->weights);
}

void price_linear(const Linear& linear, Layer layer, const Shape& output, Target target, NodeCost* cost) {
  place_layer(linear, output, &layer);
  cost->multiply_adds = static_cast<double>(layer.weights) * static_cast<double>(layer.positions);
  cost->situation = situation(linear, layer, output);
  if (is_depthwise(linear)) {
    const LayerSpeed& speed = layer_speed(target.isa, /*bytes=*/false);
    const double flops = 2.0 * static_cast<double>(layer.weights) * static_cast<double>(layer.positions);
    cost->cpu_us = conv_call_us(linear, layer, speed.cpu_end) + flops / speed.depthwise_cpu * 1e-3;
    cost->here_us = flops * layer.waste / speed.depthwise * 1e-3;
    cost->form = LayerForm::kDepthwise;
    return;  // its zeros are not used: alone it is no reason to claim
  }
  if (runs_few_rows(linear, layer, output))
    price_few_rows(linear, layer, target, cost);
  else
    price_many_rows(linear, layer, target, cost);
  cost->sparse_wins = skips_zeros(cost->form) && cost->sparsity > 0 && cost->sparsity >= cost->needed_sparsity;
}

double worth_us(double cpu_us, Target target, bool bytes) {
  return generates_code(target, bytes) ? cpu_us * kWorthOfCode : cpu_us;
}

double pass_us(int64_t values, Isa isa) { return 4.0 * static_cast<double>(values) / pass_speed(isa).cache * 1e-3; }

}  // namespace sparsecpu
