// The unit of work is a group of 4 input channels with any nonzero weight: one
// vpdpbusd for 16 positions.
#include "price/quantized_cost.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/cpu.h"
#include "graph/operators.h"

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

// As row-major kernels read and write bytes.
bool has_unsigned_bytes(const QuantizedLinear& linear) {
  return !linear.x.is_signed && (linear.output == QuantizedLinear::Output::kFloat || !linear.y.is_signed);
}

// What the CPU provider takes to gather the inputs of all positions, beside their products.
double gather_us(const Window& window, int64_t positions, double row_ns) {
  const auto rows = static_cast<double>(window.kernel[0]), taps = rows * static_cast<double>(window.kernel[1]);
  return static_cast<double>(positions) * row_ns * (rows + kGatherTap * taps) * 1e-3;
}

// And by a slow kernel, if it has no other.
std::optional<SlowProducts> slow_products(CpuProducts products, const LayerSpeed& speed) {
  switch (products) {
    case CpuProducts::kUsual:
      return std::nullopt;
    case CpuProducts::kSigned:
      return speed.cpu_signed;
    case CpuProducts::kIntegerConv:
      return speed.cpu_integer_conv;
  }
  return std::nullopt;
}

double slow_us(const SlowProducts& slow, bool depthwise, double operations, int64_t weights) {
  return operations / (depthwise ? slow.depthwise : slow.rate) + slow.weight_ns * static_cast<double>(weights) * 1e-3;
}

}  // namespace

CpuProducts cpu_products(const Node& node, const QuantizedLinear& linear) {
  static constexpr std::string_view kIntegers[] = {"QLinearConv", "QLinearMatMul", "com.microsoft.QGemm",
                                                   "MatMulInteger"};
  if (!linear.weight.is_signed) return CpuProducts::kUsual;
  const bool convolution = linear.axes == Axes::kImage;
  if (convolution && (linear.dynamic_input || node.op == "ConvInteger")) return CpuProducts::kIntegerConv;
  const bool fast = (hardware_features() & kVnniInt8) != 0;
  return linear.x.is_signed && is_any_of(node.op, kIntegers) && !fast ? CpuProducts::kSigned : CpuProducts::kUsual;
}

void price_quantized_linear(const QuantizedLinear& linear, const WeightCount& count, const Shape* output, Layer layer,
                            CpuProducts products, Target target, NodeCost* cost) {
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
  const bool depthwise = is_depthwise(geometry) && !w.wide;
  const std::optional<SlowProducts> slow = slow_products(products, speed);
  const double call = conv_call_us(geometry, layer, speed.cpu_end);
  double cpu = 0, here = 0;
  if (depthwise) {
    cpu = call + work / speed.depthwise_cpu;
    here = work * layer.waste / speed.depthwise;
    cost->form = LayerForm::kDepthwise;
  } else {
    const LayerWork lanes{true, linear.out_channels, count.groups / std::max<int64_t>(1, w.rows), layer.vectors,
                          w.wide};
    const auto stored = static_cast<double>(count.nonzero_groups + count.wide_groups);
    cpu = work / speed.cpu;
    if (linear.groups > 1) cpu *= 1 + kGroupChannels / static_cast<double>(w.channels);
    if (w.taps > 1 && w.channels < kFewChannels) cpu += gather_us(linear.window, layer.positions, speed.gather_row);
    cpu += call;
    KernelChoice choice;
    if (!w.wide && has_unsigned_bytes(linear) && runs_few_rows(geometry, layer, *output)) {
      choice = fastest_row_major(lanes, stored, layer.positions, layer.open, target.isa);
      cpu = kCallUs + few_rows_cpu_us(lanes, layer.positions, target.isa, !target.cached);
      cost->needed_density = few_rows_share(/*bytes=*/true, layer.positions);
    } else {
      choice = fastest_in_lanes(lanes, stored, linear.groups == 1, target);
      choice.us += border_us(layer, target.isa) / 4;
      cost->needed_density = break_even(lanes, worth_us(cpu, target, /*bytes=*/true), target);
    }
    here = choice.us;
    cost->form = choice.form;
    cost->sparse_wins |= skips_zeros(cost->form) && cost->group_density < 1 &&
                         stored / static_cast<double>(count.groups) <= cost->needed_density;
  }
  if (slow) {
    cpu = call + slow_us(*slow, depthwise, work, layer.weights);
    // Where it has a fast kernel, a layer without zeros is not worth a claim, whatever the prediction says.
    cost->dense_wins |= here < kWorthOfSlow * cpu;
    cost->products = products;
  }
  cost->cpu_us += cpu;
  cost->here_us += here;
}

}  // namespace sparsecpu
