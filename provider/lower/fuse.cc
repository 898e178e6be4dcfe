#include "lower/fuse.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lower/fold_affine.h"
#include "lower/stage_graph.h"

namespace sparsecpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

const Unary* unary(StageGraph& g, int i, UnaryKind kind) {
  const Unary* u = g.as<Unary>(i);
  return u != nullptr && u->kind == kind ? u : nullptr;
}

bool is_scalar_affine(StageGraph& g, int i, float scale, float shift) {
  const Affine* a = g.as<Affine>(i);
  return a != nullptr && a->scale.size() == 1 && a->shift.size() == 1 && a->shift[0] == shift &&
         std::fabs(a->scale[0] - scale) <= 1e-6f * std::fabs(scale);
}

// 0.5 * x * (1 + erf(x / sqrt 2)) in the three orders that exporters write; i is the last stage.
void fuse_gelu(StageGraph& g, int i) {
  int product = i;
  int half_after = -1, half_before = -1, half_inside = -1;
  if (is_scalar_affine(g, i, 0.5f, 0.0f)) {
    half_after = i;
    product = g.sole_producer(g.at(i).op.inputs[0]);
  }
  const Binary* mul = g.as<Binary>(product);
  if (mul == nullptr || mul->kind != BinaryKind::kMul) return;
  for (int side = 0; side < 2; ++side) {
    int plus_one = g.sole_producer(g.at(product).op.inputs[static_cast<size_t>(side)]);
    int x = g.at(product).op.inputs[static_cast<size_t>(1 - side)];
    half_inside = half_before = -1;
    if (half_after < 0 && is_scalar_affine(g, plus_one, 0.5f, 0.0f)) {
      half_inside = plus_one;
      plus_one = g.sole_producer(g.at(plus_one).op.inputs[0]);
    } else if (half_after < 0 && is_scalar_affine(g, g.sole_producer(x), 0.5f, 0.0f)) {
      half_before = g.sole_producer(x);
      x = g.at(half_before).op.inputs[0];
    }
    if (half_after < 0 && half_inside < 0 && half_before < 0) continue;
    if (!is_scalar_affine(g, plus_one, 1.0f, 1.0f)) continue;
    const int erf = g.sole_producer(g.at(plus_one).op.inputs[0]);
    if (unary(g, erf, UnaryKind::kErf) == nullptr) continue;
    const int scaled = g.sole_producer(g.at(erf).op.inputs[0]);
    if (!is_scalar_affine(g, scaled, 0.70710678f, 0.0f) || g.at(scaled).op.inputs[0] != x) continue;
    g.at(i).op.data = Unary{UnaryKind::kGelu, 0, 0};
    g.at(i).op.inputs = {x};
    g.drop_use(x);
    for (int inner : {product, plus_one, erf, scaled, half_before, half_inside}) {
      if (inner >= 0 && inner != i) g.swallow(i, inner);
    }
    return;
  }
}

void fuse_silu(StageGraph& g, int i) {
  const Binary* mul = g.as<Binary>(i);
  if (mul == nullptr || mul->kind != BinaryKind::kMul) return;
  for (size_t side = 0; side < 2; ++side) {
    const int x = g.at(i).op.inputs[1 - side];
    const int sigmoid = g.sole_producer(g.at(i).op.inputs[side]);
    if (unary(g, sigmoid, UnaryKind::kSigmoid) == nullptr || g.at(sigmoid).op.inputs[0] != x) continue;
    g.at(i).op.data = Unary{UnaryKind::kSilu, 1, 0};
    g.at(i).op.inputs = {x};
    g.drop_use(x);
    g.swallow(i, sigmoid);
    return;
  }
}

bool is_bare(const Stage& s) {
  return s.residual < 0 && !s.post && s.clamp.lo == -kInfinity && s.clamp.hi == kInfinity;
}

// A constant added to floats; they are multiplied first, with a rounding in between.
bool add_float_bias(const Affine& affine, QuantizedLinear* linear) {
  const bool adds_only = affine.scale.size() == 1 && affine.scale[0] == 1.0f;
  const bool axes_agree = affine.axes == linear->axes || affine.shift.size() == 1;
  if (!adds_only || !axes_agree || linear->output != QuantizedLinear::Output::kFloat || !linear->float_bias.empty()) {
    return false;
  }
  linear->float_bias = affine.shift;
  linear->float_bias.resize(static_cast<size_t>(linear->out_channels), affine.shift.front());
  return true;
}

void fuse_affine(StageGraph& g, int i) {
  const Affine* affine = g.as<Affine>(i);
  if (affine == nullptr) return;
  const int before = g.sole_producer(g.at(i).op.inputs[0]);
  if (!g.alive(before) || !is_bare(g.at(before))) return;
  if (auto* quantized = g.as<QuantizedLinear>(before)) {
    if (add_float_bias(*affine, quantized)) g.absorb(before, i);
    return;
  }
  const Linear* linear = g.as<Linear>(before);
  if (linear == nullptr) return;
  const bool channel_axis_agrees =
      affine->axes == linear->axes || (affine->scale.size() == 1 && affine->shift.size() == 1);
  if (channel_axis_agrees && fold(*affine, *linear, &g.at(before))) g.absorb(before, i);
}

// Whether `addend` is known to be one value an image and channel next to a whole image: its layer cannot sum them up.
bool spreads(const OpGraph& graph, int addend, int other) {
  const auto one_pixel = [&](int value) {
    const Shape& dims = graph.values[static_cast<size_t>(value)].dims;
    return dims.size() == 4 && dims[2] == 1 && dims[3] == 1;
  };
  return one_pixel(addend) && !one_pixel(other);
}

// The later of the two producers takes the sum, so that the other addend is there when it runs.
void fuse_residual(StageGraph& g, int i) {
  const Binary* add = g.as<Binary>(i);
  if (add == nullptr || add->kind != BinaryKind::kAdd) return;
  const std::vector<int> inputs = g.at(i).op.inputs;
  int best = -1;
  int other = -1;
  for (size_t side = 0; side < 2; ++side) {
    const int before = g.sole_producer(inputs[side]);
    if (g.as<Linear>(before) == nullptr || !is_bare(g.at(before)) || spreads(g.ops(), inputs[side], inputs[1 - side]))
      continue;
    if (best >= 0 && g.position(before) < g.position(best)) continue;
    best = before;
    other = inputs[1 - side];
  }
  if (best < 0 || inputs[0] == inputs[1]) return;
  g.at(best).residual = other;
  g.absorb(best, i);
}

void fuse_activation(StageGraph& g, int i) {
  const Unary* found = g.as<Unary>(i);
  if (found == nullptr) return;
  // onnxruntime makes Gemm of MatMul and Add, with a Reshape behind it: that can as well come after the activation.
  const int last = g.sole_producer(g.at(i).op.inputs[0]);
  const int reshape = g.as<Reshape>(last) != nullptr ? last : -1;
  const int before = reshape >= 0 ? g.sole_producer(g.at(reshape).op.inputs[0]) : last;
  if (!g.alive(before) || !g.at(before).op.takes_activation()) return;
  Stage& stage = g.at(before);
  if (stage.post || stage.clamp.lo != -kInfinity || stage.clamp.hi != kInfinity) return;
  const Unary activation = *found;
  const bool linear = stage.op.layer().has_value();
  if (linear && activation.kind == UnaryKind::kRelu) {
    stage.clamp.lo = 0;
  } else if (linear && activation.kind == UnaryKind::kClip) {
    stage.clamp = {activation.a, activation.b};
  } else {
    stage.post = activation;
  }
  if (reshape < 0) return g.absorb(before, i);
  g.swallow(before, i);
  g.set_output(reshape, g.at(i).op.output);
}

// A table of stored bytes that limits them to [low, high] of their type; nullopt if that changes nothing.
std::optional<std::array<uint8_t, 256>> clamp_table(const Quantization& q, int low, int high) {
  if (low <= q.lowest() && high >= q.highest()) return {};
  const int sign = q.is_signed ? 128 : 0;
  std::array<uint8_t, 256> table;
  for (int i = 0; i < 256; ++i)
    table[static_cast<size_t>(i)] = static_cast<uint8_t>(std::clamp(i - sign, low, high) + sign);
  return table;
}

void then(std::optional<std::array<uint8_t, 256>>& table, const std::array<uint8_t, 256>& next) {
  if (!table) {
    table = next;
    return;
  }
  for (uint8_t& entry : *table) entry = next[entry];
}

void clamp_bytes(StageGraph& g, int i) {
  if (const auto* linear = g.as<QuantizedLinear>(i); linear && linear->output == QuantizedLinear::Output::kBytes) {
    g.at(i).table = clamp_table(linear->y, linear->clamp_low, linear->clamp_high);
  } else if (const auto* add = g.as<QuantizedAdd>(i)) {
    g.at(i).table = clamp_table(add->y, add->clamp_low, add->clamp_high);
  }
}

void fuse_quantized_sum(StageGraph& g, int i) {
  const QuantizedAdd* add = g.as<QuantizedAdd>(i);
  if (add == nullptr) return;
  const std::vector<int> inputs = g.at(i).op.inputs;
  if (!add->constant && inputs[0] == inputs[1]) return;
  int best = -1;
  size_t best_side = 0;
  for (size_t side = 0; side < inputs.size(); ++side) {
    const int before = g.sole_producer(inputs[side]);
    const auto* linear = g.as<QuantizedLinear>(before);
    if (linear == nullptr || linear->output != QuantizedLinear::Output::kBytes || g.at(before).table) continue;
    if (g.at(before).sum || (!add->constant && spreads(g.ops(), inputs[side], inputs[1 - side]))) continue;
    const bool by_channel = add->constant && add->constant->values.size() > 1;
    if (by_channel && add->constant->axes != linear->axes) continue;
    if (best >= 0 && g.position(before) < g.position(best)) continue;
    best = before;
    best_side = side;
  }
  const bool same_sign = add->a.is_signed == add->b.is_signed && add->a.is_signed == add->y.is_signed;
  if (best < 0 || !same_sign) return;
  Stage& stage = g.at(best);
  if (!add->constant) stage.residual = inputs[1 - best_side];
  stage.residual_is_a = add->constant ? add->constant->first : best_side == 1;
  stage.sum = *add;
  if (stage.sum->constant) {
    std::vector<uint8_t>& values = stage.sum->constant->values;
    values.resize(static_cast<size_t>(g.as<QuantizedLinear>(best)->out_channels), values.front());
  }
  stage.table = g.at(i).table;
  g.absorb(best, i);
}

void fuse_table(StageGraph& g, int i) {
  const Lookup* lookup = g.as<Lookup>(i);
  if (lookup == nullptr) return;
  const int before = g.sole_producer(g.at(i).op.inputs[0]);
  bool input_signed = false;
  if (const auto* linear = g.as<QuantizedLinear>(before); linear && linear->output == QuantizedLinear::Output::kBytes) {
    input_signed = linear->y.is_signed;
  } else if (const auto* add = g.as<QuantizedAdd>(before)) {
    input_signed = add->y.is_signed;
  } else if (const auto* mul = g.as<QuantizedMul>(before)) {
    input_signed = mul->y.is_signed;
  } else {
    return;
  }
  if (input_signed != lookup->output_signed) return;  // the output's type is that of its first Op
  then(g.at(before).table, stored_table(*lookup, input_signed));
  g.absorb(before, i);
}

// Floats that only an average over the image reads need no tensor.
void fuse_average(StageGraph& g, int i) {
  const GlobalAverage* average = g.as<GlobalAverage>(i);
  if (average == nullptr || average->bytes) return;
  const int nearest = g.sole_producer(g.at(i).op.inputs[0]);
  const Unary* activation = g.as<Unary>(nearest);
  const int before = activation != nullptr ? g.sole_producer(g.at(nearest).op.inputs[0]) : nearest;
  const Dequantize* dequantize = g.as<Dequantize>(before);
  if (dequantize == nullptr) return;
  g.at(i).from_bytes = Stage::FromBytes{dequantize->x, {}};
  if (activation != nullptr) g.at(i).from_bytes->activation = *activation;
  g.at(i).op.inputs = g.at(before).op.inputs;
  if (activation != nullptr) g.swallow(i, nearest);
  g.swallow(i, before);
}

// An elementwise stage that alone makes this value, or -1.
int elementwise_producer(StageGraph& g, int value) {
  const int i = g.sole_producer(value);
  const bool elementwise = g.as<Unary>(i) != nullptr || g.as<Binary>(i) != nullptr || g.as<Affine>(i) != nullptr ||
                           g.as<PRelu>(i) != nullptr;
  return elementwise ? i : -1;
}

// Functions behind one another are one pass.
void fuse_functions(StageGraph& g, int i) {
  const std::vector<int> inputs = g.at(i).op.inputs;
  const auto append = [&](int before, Follower function) {
    g.at(before).then.push_back(std::move(function));
    g.absorb(before, i);
  };
  // One with numbers for channels has to have the axes of the stage before.
  const auto append_to_producer = [&](const auto& function) {
    const int before = elementwise_producer(g, inputs[0]);
    if (before < 0) return;
    const std::optional<Axes> own = function.own_axes(), given = g.at(before).channel_axes();
    const bool agree = !own || (g.as<Binary>(before) == nullptr && (!given || given == own));
    if (agree) append(before, function);
  };
  if (const Unary* unary = g.as<Unary>(i)) {
    append_to_producer(*unary);
  } else if (const Affine* affine = g.as<Affine>(i)) {
    append_to_producer(*affine);
  } else if (const PRelu* prelu = g.as<PRelu>(i)) {
    append_to_producer(*prelu);
  } else if (const Binary* binary = g.as<Binary>(i)) {
    for (const size_t side : {0, 1}) {
      const int x = inputs[1 - side], before = elementwise_producer(g, inputs[side]);
      // Of two operands, the first may be smaller than what is made of them.
      if (before < 0 || g.as<Binary>(before) != nullptr || g.at(before).op.inputs[0] != x) continue;
      g.drop_use(x);
      return append(before, WithInput{binary->kind, /*input_first=*/side == 1});
    }
  }
}

}  // namespace

std::vector<Stage> fuse(const OpGraph& graph) {
  StageGraph stages(graph);
  for (const auto rule : {fuse_gelu, fuse_silu, fuse_affine, fuse_residual, fuse_activation, clamp_bytes,
                          fuse_quantized_sum, fuse_table, fuse_average, fuse_functions}) {
    for (int i = 0; i < stages.size(); ++i) rule(stages, i);
  }
  return std::move(stages).ordered();
}

}  // namespace sparsecpu
