#include "lower/fuse.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lower/fold_affine.h"

namespace sparsecpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class Fuser {
 public:
  explicit Fuser(const OpGraph& graph)
      : graph_(graph), producer_(graph.values.size(), -1), uses_(graph.values.size(), 0) {
    for (size_t i = 0; i < graph.ops.size(); ++i) {
      Stage stage;
      stage.op = graph.ops[i];
      stage.clamp = {-kInfinity, kInfinity};
      stage.op_indices = {static_cast<int>(i)};
      stages_.push_back(std::move(stage));
      producer_[static_cast<size_t>(graph.ops[i].output)] = static_cast<int>(i);
      for (int input : graph.ops[i].inputs) ++uses_[static_cast<size_t>(input)];
    }
    for (int output : graph.outputs) ++uses_[static_cast<size_t>(output)];
    alive_.assign(stages_.size(), true);
    position_.resize(stages_.size());
    for (size_t i = 0; i < stages_.size(); ++i) position_[i] = static_cast<int>(i);
  }

  std::vector<Stage> run() {
    for (int i = 0; i < size(); ++i) fuse_gelu(i);
    for (int i = 0; i < size(); ++i) fuse_silu(i);
    for (int i = 0; i < size(); ++i) fuse_affine(i);
    for (int i = 0; i < size(); ++i) fuse_residual(i);
    for (int i = 0; i < size(); ++i) fuse_activation(i);
    for (int i = 0; i < size(); ++i) clamp_bytes(i);
    for (int i = 0; i < size(); ++i) fuse_quantized_sum(i);
    for (int i = 0; i < size(); ++i) fuse_table(i);
    for (int i = 0; i < size(); ++i) fuse_average(i);
    return ordered();
  }

 private:
  int size() const { return static_cast<int>(stages_.size()); }
  Stage& at(int i) { return stages_[static_cast<size_t>(i)]; }
  bool alive(int i) const { return i >= 0 && alive_[static_cast<size_t>(i)]; }
  int uses(int value) const { return uses_[static_cast<size_t>(value)]; }
  // The stage that makes `value` as its only use's input, or -1.
  int sole_producer(int value) const {
    const int i = producer_[static_cast<size_t>(value)];
    return alive(i) && uses(value) == 1 ? i : -1;
  }
  template <class T>
  T* as(int i) {
    return alive(i) ? std::get_if<T>(&at(i).op.data) : nullptr;
  }
  Unary* unary(int i, UnaryKind kind) {
    Unary* u = as<Unary>(i);
    return u != nullptr && u->kind == kind ? u : nullptr;
  }
  bool is_scalar_affine(int i, float scale, float shift) {
    const Affine* a = as<Affine>(i);
    return a != nullptr && a->scale.size() == 1 && a->shift.size() == 1 && a->shift[0] == shift &&
           std::fabs(a->scale[0] - scale) <= 1e-6f * std::fabs(scale);
  }

  // Stage `into` takes the place of stage `last`: its output, its position in the order, and its Ops.
  void absorb(int into, int last) {
    Stage& target = at(into);
    Stage& gone = at(last);
    target.op.output = gone.op.output;
    target.op_indices.insert(target.op_indices.end(), gone.op_indices.begin(), gone.op_indices.end());
    producer_[static_cast<size_t>(target.op.output)] = into;
    position_[static_cast<size_t>(into)] = position_[static_cast<size_t>(last)];
    alive_[static_cast<size_t>(last)] = false;
  }
  // Removes stage i, whose work stage `into` does.
  void swallow(int into, int i) {
    Stage& target = at(into);
    target.op_indices.insert(target.op_indices.end(), at(i).op_indices.begin(), at(i).op_indices.end());
    alive_[static_cast<size_t>(i)] = false;
  }

  // 0.5 * x * (1 + erf(x / sqrt 2)) in the three orders that exporters write; i is the last stage.
  void fuse_gelu(int i) {
    int product = i;
    int half_after = -1, half_before = -1, half_inside = -1;
    if (is_scalar_affine(i, 0.5f, 0.0f)) {
      half_after = i;
      product = sole_producer(at(i).op.inputs[0]);
    }
    const Binary* mul = as<Binary>(product);
    if (mul == nullptr || mul->kind != BinaryKind::kMul) return;
    for (int side = 0; side < 2; ++side) {
      int plus_one = sole_producer(at(product).op.inputs[static_cast<size_t>(side)]);
      int x = at(product).op.inputs[static_cast<size_t>(1 - side)];
      half_inside = half_before = -1;
      if (half_after < 0 && is_scalar_affine(plus_one, 0.5f, 0.0f)) {
        half_inside = plus_one;
        plus_one = sole_producer(at(plus_one).op.inputs[0]);
      } else if (half_after < 0 && is_scalar_affine(sole_producer(x), 0.5f, 0.0f)) {
        half_before = sole_producer(x);
        x = at(half_before).op.inputs[0];
      }
      if (half_after < 0 && half_inside < 0 && half_before < 0) continue;
      if (!is_scalar_affine(plus_one, 1.0f, 1.0f)) continue;
      const int erf = sole_producer(at(plus_one).op.inputs[0]);
      if (unary(erf, UnaryKind::kErf) == nullptr) continue;
      const int scaled = sole_producer(at(erf).op.inputs[0]);
      if (!is_scalar_affine(scaled, 0.70710678f, 0.0f) || at(scaled).op.inputs[0] != x) continue;
      at(i).op.data = Unary{UnaryKind::kGelu, 0, 0};
      at(i).op.inputs = {x};
      uses_[static_cast<size_t>(x)] -= 1;
      for (int inner : {product, plus_one, erf, scaled, half_before, half_inside}) {
        if (inner >= 0 && inner != i) swallow(i, inner);
      }
      return;
    }
  }

  void fuse_silu(int i) {
    const Binary* mul = as<Binary>(i);
    if (mul == nullptr || mul->kind != BinaryKind::kMul) return;
    for (size_t side = 0; side < 2; ++side) {
      const int x = at(i).op.inputs[1 - side];
      const int sigmoid = sole_producer(at(i).op.inputs[side]);
      if (unary(sigmoid, UnaryKind::kSigmoid) == nullptr || at(sigmoid).op.inputs[0] != x) continue;
      at(i).op.data = Unary{UnaryKind::kSilu, 1, 0};
      at(i).op.inputs = {x};
      uses_[static_cast<size_t>(x)] -= 1;
      swallow(i, sigmoid);
      return;
    }
  }

  static bool is_bare(const Stage& s) {
    return s.residual < 0 && !s.post && s.clamp.lo == -kInfinity && s.clamp.hi == kInfinity;
  }

  // A constant added to floats; they are multiplied first, with a rounding in between.
  static bool add_float_bias(const Affine& affine, QuantizedLinear* linear) {
    const bool adds_only = affine.scale.size() == 1 && affine.scale[0] == 1.0f;
    const bool axes_agree = affine.axes == linear->axes || affine.shift.size() == 1;
    if (!adds_only || !axes_agree || linear->output != QuantizedLinear::Output::kFloat || !linear->float_bias.empty()) {
      return false;
    }
    linear->float_bias = affine.shift;
    linear->float_bias.resize(static_cast<size_t>(linear->out_channels), affine.shift.front());
    return true;
  }

  void fuse_affine(int i) {
    const Affine* affine = as<Affine>(i);
    if (affine == nullptr) return;
    const int before = sole_producer(at(i).op.inputs[0]);
    if (!alive(before) || !is_bare(at(before))) return;
    if (auto* quantized = as<QuantizedLinear>(before)) {
      if (add_float_bias(*affine, quantized)) absorb(before, i);
      return;
    }
    const Linear* linear = as<Linear>(before);
    if (linear == nullptr) return;
    const bool channel_axis_agrees =
        affine->axes == linear->axes || (affine->scale.size() == 1 && affine->shift.size() == 1);
    if (channel_axis_agrees && fold(*affine, *linear, &at(before))) absorb(before, i);
  }

  // Whether `addend` is known to be one value an image and channel next to a whole image: its layer cannot sum them up.
  bool spreads(int addend, int other) const {
    const auto one_pixel = [&](int value) {
      const Shape& dims = graph_.values[static_cast<size_t>(value)].dims;
      return dims.size() == 4 && dims[2] == 1 && dims[3] == 1;
    };
    return one_pixel(addend) && !one_pixel(other);
  }

  // The later of the two producers takes the sum, so that the other addend is there when it runs.
  void fuse_residual(int i) {
    const Binary* add = as<Binary>(i);
    if (add == nullptr || add->kind != BinaryKind::kAdd) return;
    const std::vector<int> inputs = at(i).op.inputs;
    int best = -1;
    int other = -1;
    for (size_t side = 0; side < 2; ++side) {
      const int before = sole_producer(inputs[side]);
      if (as<Linear>(before) == nullptr || !is_bare(at(before)) || spreads(inputs[side], inputs[1 - side])) continue;
      if (best >= 0 && position_[static_cast<size_t>(before)] < position_[static_cast<size_t>(best)]) continue;
      best = before;
      other = inputs[1 - side];
    }
    if (best < 0 || inputs[0] == inputs[1]) return;
    at(best).residual = other;
    absorb(best, i);
  }

  void fuse_activation(int i) {
    const Unary* found = as<Unary>(i);
    if (found == nullptr) return;
    // onnxruntime makes Gemm of MatMul and Add, with a Reshape behind it: that can as well come after the activation.
    const int last = sole_producer(at(i).op.inputs[0]);
    const int reshape = as<Reshape>(last) != nullptr ? last : -1;
    const int before = reshape >= 0 ? sole_producer(at(reshape).op.inputs[0]) : last;
    const QuantizedLinear* quantized = as<QuantizedLinear>(before);
    const bool linear = as<Linear>(before) != nullptr || quantized != nullptr;
    if (!linear && as<Binary>(before) == nullptr) return;
    if (quantized != nullptr && quantized->output == QuantizedLinear::Output::kBytes) return;
    Stage& stage = at(before);
    if (stage.post || stage.clamp.lo != -kInfinity || stage.clamp.hi != kInfinity) return;
    const Unary activation = *found;
    if (linear && activation.kind == UnaryKind::kRelu) {
      stage.clamp.lo = 0;
    } else if (linear && activation.kind == UnaryKind::kClip) {
      stage.clamp = {activation.a, activation.b};
    } else {
      stage.post = activation;
    }
    if (reshape < 0) return absorb(before, i);
    swallow(before, i);
    at(reshape).op.output = at(i).op.output;
    producer_[static_cast<size_t>(at(i).op.output)] = reshape;
  }

  // A table of stored bytes that limits them to [low, high] of their type; nullopt if that changes nothing.
  static std::optional<std::array<uint8_t, 256>> clamp_table(const Quantization& q, int low, int high) {
    if (low <= q.lowest() && high >= q.highest()) return {};
    const int sign = q.is_signed ? 128 : 0;
    std::array<uint8_t, 256> table;
    for (int i = 0; i < 256; ++i)
      table[static_cast<size_t>(i)] = static_cast<uint8_t>(std::clamp(i - sign, low, high) + sign);
    return table;
  }

  static void then(std::optional<std::array<uint8_t, 256>>& table, const std::array<uint8_t, 256>& next) {
    if (!table) {
      table = next;
      return;
    }
    for (uint8_t& entry : *table) entry = next[entry];
  }

  void clamp_bytes(int i) {
    if (const auto* linear = as<QuantizedLinear>(i); linear && linear->output == QuantizedLinear::Output::kBytes) {
      at(i).table = clamp_table(linear->y, linear->clamp_low, linear->clamp_high);
    } else if (const auto* add = as<QuantizedAdd>(i)) {
      at(i).table = clamp_table(add->y, add->clamp_low, add->clamp_high);
    }
  }

  void fuse_quantized_sum(int i) {
    const QuantizedAdd* add = as<QuantizedAdd>(i);
    if (add == nullptr) return;
    const std::vector<int> inputs = at(i).op.inputs;
    if (!add->constant && inputs[0] == inputs[1]) return;
    int best = -1;
    size_t best_side = 0;
    for (size_t side = 0; side < inputs.size(); ++side) {
      const int before = sole_producer(inputs[side]);
      const auto* linear = as<QuantizedLinear>(before);
      if (linear == nullptr || linear->output != QuantizedLinear::Output::kBytes || at(before).table) continue;
      if (at(before).sum || (!add->constant && spreads(inputs[side], inputs[1 - side]))) continue;
      const bool by_channel = add->constant && add->constant->values.size() > 1;
      if (by_channel && add->constant->axes != linear->axes) continue;
      if (best >= 0 && position_[static_cast<size_t>(before)] < position_[static_cast<size_t>(best)]) continue;
      best = before;
      best_side = side;
    }
    const bool same_sign = add->a.is_signed == add->b.is_signed && add->a.is_signed == add->y.is_signed;
    if (best < 0 || !same_sign) return;
    Stage& stage = at(best);
    if (!add->constant) stage.residual = inputs[1 - best_side];
    stage.residual_is_a = add->constant ? add->constant->first : best_side == 1;
    stage.sum = *add;
    if (stage.sum->constant) {
      std::vector<uint8_t>& values = stage.sum->constant->values;
      values.resize(static_cast<size_t>(as<QuantizedLinear>(best)->out_channels), values.front());
    }
    stage.table = at(i).table;
    absorb(best, i);
  }

  void fuse_table(int i) {
    const Lookup* lookup = as<Lookup>(i);
    if (lookup == nullptr) return;
    const int before = sole_producer(at(i).op.inputs[0]);
    bool input_signed = false;
    if (const auto* linear = as<QuantizedLinear>(before); linear && linear->output == QuantizedLinear::Output::kBytes) {
      input_signed = linear->y.is_signed;
    } else if (const auto* add = as<QuantizedAdd>(before)) {
      input_signed = add->y.is_signed;
    } else if (const auto* mul = as<QuantizedMul>(before)) {
      input_signed = mul->y.is_signed;
    } else {
      return;
    }
    if (input_signed != lookup->output_signed) return;  // the output's type is that of its first Op
    then(at(before).table, stored_table(*lookup, input_signed));
    absorb(before, i);
  }

  // Floats that only an average over the image reads need no tensor.
  void fuse_average(int i) {
    const GlobalAverage* average = as<GlobalAverage>(i);
    if (average == nullptr || average->bytes) return;
    const int nearest = sole_producer(at(i).op.inputs[0]);
    const Unary* activation = as<Unary>(nearest);
    const int before = activation != nullptr ? sole_producer(at(nearest).op.inputs[0]) : nearest;
    const Dequantize* dequantize = as<Dequantize>(before);
    if (dequantize == nullptr) return;
    at(i).from_bytes = Stage::FromBytes{dequantize->x, {}};
    if (activation != nullptr) at(i).from_bytes->activation = *activation;
    at(i).op.inputs = at(before).op.inputs;
    if (activation != nullptr) swallow(i, nearest);
    swallow(i, before);
  }

  std::vector<Stage> ordered() {
    std::vector<int> order;
    for (int i = 0; i < size(); ++i) {
      if (alive(i)) order.push_back(i);
    }
    std::sort(order.begin(), order.end(),
              [&](int a, int b) { return position_[static_cast<size_t>(a)] < position_[static_cast<size_t>(b)]; });
    std::vector<Stage> result;
    for (int i : order) result.push_back(std::move(at(i)));
    return result;
  }

  const OpGraph& graph_;
  std::vector<Stage> stages_;
  std::vector<bool> alive_;
  std::vector<int> position_;  // in the order of stages; a fused stage stands where its last Op stood
  std::vector<int> producer_;  // value -> stage
  std::vector<int> uses_;      // value -> number of uses, region outputs included
};

}  // namespace

std::vector<Stage> fuse(const OpGraph& graph) { return Fuser(graph).run(); }

}  // namespace sparsecpu
