// Layer normalization and GELU, written out in arithmetic; group normalization between Reshapes.
#include <algorithm>
#include <cmath>

#include "facts/constants.h"
#include "recognise/patterns/patterns.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

class Backwards {
 public:
  explicit Backwards(const RecogniseContext& context) : context_(context), graph_(context.graph) {}

 protected:
  const Node& at(int node) const { return graph_.nodes[node]; }
  int take(int node) {
    if (node >= 0) nodes_.push_back(node);
    return node;
  }
  int take(int value, const char* op_type) { return take(made_by(graph_, value, op_type)); }

  // x * number, x + number or x / number of `op_type` with that number, up to rounding: x, else -1.
  int take_number(int value, const char* op_type, double number) {
    const int node = made_by(graph_, value, op_type);
    int x = -1;
    if (node < 0) return -1;
    const auto found = with_number(context_, at(node), &x);
    if (!found || std::abs(*found - number) > 1e-3 * std::abs(number)) return -1;
    take(node);
    return x;
  }

  // Power `exponent` of x: Pow, or for 2 and 3 products of x with itself.
  int take_power(int value, int exponent) {
    if (const int pow = made_by(graph_, value, "Pow"); pow >= 0) {
      const auto found = context_.number_beside(at(pow).inputs[1], at(pow).inputs[0]);
      if (!found || *found != static_cast<float>(exponent)) return -1;
      return at(take(pow)).inputs[0];
    }
    const int mul = made_by(graph_, value, "Mul");
    if (mul < 0 || exponent < 2) return -1;
    take(mul);
    for (const int side : {0, 1}) {
      const int x = at(mul).inputs[side], rest = at(mul).inputs[1 - side];
      if (exponent == 2 ? rest == x : take_power(rest, exponent - 1) == x) return x;
    }
    return -1;
  }

  std::optional<Match> finish(int main, const char* name, OpData op, int x, int last) {
    Meaning meaning = accept(std::move(op), {x}, at(last).outputs[0]);
    auto unit = close_unit(graph_, nodes_, main, *meaning);
    if (!unit) return std::nullopt;
    return Match{std::move(*unit), name, std::move(meaning)};
  }

  const RecogniseContext& context_;
  const Graph& graph_;
  std::vector<int> nodes_;
};

// (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * scale + shift; or without the mean, x / sqrt(mean(x^2) +
// epsilon) * scale.
class LayerNormMatcher : Backwards {
 public:
  using Backwards::Backwards;

  std::optional<Match> run(int last) {
    LayerNorm norm;
    int value = at(last).outputs[0];
    if (at(last).op == "Add") {
      value = take_vector(last, &norm.shift);
      last_mul_ = made_by(graph_, value, "Mul");
    } else {
      last_mul_ = last;
      if (is_shifted(value)) return std::nullopt;
    }
    if (value < 0 || last_mul_ < 0) return std::nullopt;
    value = take_vector(last_mul_, &norm.scale);
    const int x = value < 0 ? -1 : take_normalized(value, &norm);
    if (x < 0) return std::nullopt;
    if (norm.shift.empty()) norm.shift.assign(norm.scale.size(), 0.0f);
    const int64_t channels = context_.proven_dim(x, context_.rank(x) - 1);
    const bool fits = norm.scale.size() == norm.shift.size() && channels == static_cast<int64_t>(norm.scale.size());
    if (!fits) return std::nullopt;
    const char* name = norm.centred ? "layer norm" : "rms norm";
    return finish(last, name, std::move(norm), x, last);
  }

 private:
  // The constant vector of an Add or Mul; returns the other input.
  int take_vector(int node, std::vector<float>* vector) {
    for (const int side : {0, 1}) {
      const int constant = at(node).inputs.size() == 2 ? at(node).inputs[side] : -1;
      if (constant < 0 || context_.rank(constant) != 1) continue;
      const auto floats = constant_floats(context_.value(constant));
      if (!floats) continue;
      *vector = *floats;
      take(node);
      return at(node).inputs[1 - side];
    }
    return -1;
  }

  // Its only use adds a vector: the pattern ends there.
  bool is_shifted(int value) const {
    const IndexList& uses = graph_.values[value].consumers;
    if (uses.size() != 1 || at(uses[0]).op != "Add" || at(uses[0]).inputs.size() != 2) return false;
    const int other = at(uses[0]).inputs[at(uses[0]).inputs[0] == value ? 1 : 0];
    return other >= 0 && context_.value(other).is_constant && context_.rank(other) == 1;
  }

  // Mean over the last axis: its input.
  int take_mean(int value) {
    const int node = made_by(graph_, value, "ReduceMean");
    if (node < 0 || at(node).attribute("keepdims", int64_t{1}) != 1) return -1;
    std::vector<int64_t> axes = at(node).attribute("axes", std::vector<int64_t>{});
    if (context_.has_input(at(node), 1)) {
      if (auto given = constant_ints(context_.value(at(node).inputs[1]))) axes = std::move(*given);
    }
    const int64_t last = context_.rank(at(node).inputs[0]) - 1;
    if (axes.size() != 1 || (axes[0] != -1 && axes[0] != last)) return -1;
    return at(take(node)).inputs[0];
  }

  // x - mean(x): x. Several such nodes may stand for the same.
  int take_centred(int value) {
    const int node = take(value, "Sub");
    if (node < 0) return -1;
    const int x = at(node).inputs[0];
    return take_mean(at(node).inputs[1]) == x ? x : -1;
  }

  // sqrt(mean(values^2) + epsilon), whose values are x or, centred, those of x; whether it is that.
  bool take_deviation(int value, int x, LayerNorm* norm) {
    const int root = take(value, "Sqrt");
    const int sum = root < 0 ? -1 : take(at(root).inputs[0], "Add");
    int variance = -1;
    const auto number = sum < 0 ? std::nullopt : with_number(context_, at(sum), &variance);
    if (!number) return false;
    norm->epsilon = *number;
    const int squares = take_mean(variance);
    const int values = squares < 0 ? -1 : take_power(squares, 2);
    return values >= 0 && (norm->centred ? take_centred(values) : values) == x;
  }

  // `values` by the deviation of what they are of: that.
  int take_quotient(int values, int deviation, LayerNorm* norm) {
    const size_t taken = nodes_.size();
    const int centre = take_centred(values);
    norm->centred = centre >= 0;
    if (!norm->centred) nodes_.resize(taken);  // a Sub of something else
    const int x = norm->centred ? centre : values;
    return take_deviation(deviation, x, norm) ? x : -1;
  }

  // 1 / deviation: the node.
  int inverse_of(int value) const {
    const int div = made_by(graph_, value, "Div");
    if (div >= 0 && context_.number_beside(at(div).inputs[0], at(div).inputs[1]) == 1.0f) return div;
    return made_by(graph_, value, "Reciprocal");
  }

  int take_normalized(int value, LayerNorm* norm) {
    if (const int div = take(value, "Div"); div >= 0) {
      return take_quotient(at(div).inputs[0], at(div).inputs[1], norm);
    }
    const int mul = take(value, "Mul");
    for (const int side : {0, 1}) {
      const int inverse = mul < 0 ? -1 : inverse_of(at(mul).inputs[side]);
      if (inverse < 0) continue;
      take(inverse);
      return take_quotient(at(mul).inputs[1 - side], at(inverse).inputs[at(inverse).op == "Div" ? 1 : 0], norm);
    }
    return -1;
  }

  int last_mul_ = -1;
};

// Group normalization as torch exports it: x as [n, groups, rest], an InstanceNormalization, the shape of x again; then
// perhaps constants that scale and shift the channels.
class GroupNormMatcher : Backwards {
 public:
  using Backwards::Backwards;

  std::optional<Match> run(int last) {
    int back = last;
    std::vector<int> behind;
    for (; arithmetic(back); back = graph_.producer(activation(back))) behind.push_back(back);
    if (at(back).op != "Reshape") return std::nullopt;
    const int norm = made_by(graph_, at(back).inputs[0], "InstanceNormalization");
    const int split = norm < 0 ? -1 : made_by(graph_, at(norm).inputs[0], "Reshape");
    if (split < 0) return std::nullopt;
    const int x = at(split).inputs[0];
    const Meaning inner = recognise_norm(context_, at(norm));
    if (!inner || !have_equal_shapes(x, at(back).outputs[0]) || !is_split(x, at(split).outputs[0])) return std::nullopt;
    GroupNorm result = std::get<GroupNorm>(inner->front().data);
    result.repeat_vectors(context_.proven_dim(x, 1));
    result.cpu.calls += 2;  // the Reshapes
    nodes_ = {split, norm, back};
    for (; !behind.empty(); behind.pop_back()) {
      if (!take_arithmetic(behind.back(), &result)) return std::nullopt;
    }
    return finish(norm, "group norm", std::move(result), x, last);
  }

 private:
  bool arithmetic(int node) const { return (at(node).op == "Mul" || at(node).op == "Add") && activation(node) >= 0; }
  // The input of a node of two that is no constant, if only one is.
  int activation(int node) const {
    const int a = at(node).inputs[0], b = at(node).inputs[1];
    if (context_.is_activation(a) == context_.is_activation(b)) return -1;
    return context_.is_activation(a) ? a : b;
  }

  // For every size of the model's axes.
  bool have_equal_shapes(int a, int b) const {
    const ValueFacts &one = context_.facts[a], &other = context_.facts[b];
    return one.proof && one.assumed && one.proof == other.proof && one.assumed == other.assumed;
  }

  // Whether `grouped` is x, [n, c, w] or [n, c, h, w], as [n, groups, rest] with whole channels in a group.
  bool is_split(int x, int grouped) const {
    const ValueFacts &one = context_.facts[x], &other = context_.facts[grouped];
    const bool known = one.proof && one.assumed && other.proof && other.assumed;
    if (!known || context_.rank(x) < 3 || context_.rank(x) > 4 || context_.rank(grouped) != 3) return false;
    const bool same_images =
        one.proof->front() == other.proof->front() && one.assumed->front() == other.assumed->front();
    const int64_t channels = context_.proven_dim(x, 1), groups = context_.proven_dim(grouped, 1);
    return same_images && channels > 0 && groups > 0 && channels % groups == 0;
  }

  // A constant factor or addend, one for all or one a channel of an image, as a part of the norm.
  bool take_arithmetic(int node, GroupNorm* norm) {
    const Meaning meaning = recognise_arithmetic(context_, at(node));
    if (!meaning) return false;
    const auto& affine = std::get<Affine>(meaning->front().data);
    if (affine.channels() > 1 && affine.axes != Axes::kImage) return false;
    const auto value = [](const std::vector<float>& vector, size_t c) { return vector[vector.size() == 1 ? 0 : c]; };
    for (size_t c = 0; c < norm->scale.size(); ++c) {
      norm->scale[c] *= value(affine.scale, c);
      norm->shift[c] = norm->shift[c] * value(affine.scale, c) + value(affine.shift, c);
    }
    norm->cpu = {norm->cpu.values + 2, norm->cpu.calls + 1};
    take(node);
    return true;
  }
};

// x * 0.5 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))), the half anywhere in the product; and x * sigmoid(a * x).
class GeluMatcher : Backwards {
 public:
  using Backwards::Backwards;

  std::optional<Match> run(int last) {
    if (at(last).op != "Mul" || is_halved(last)) return std::nullopt;
    for (const int side : {0, 1}) {
      nodes_ = {last};
      if (auto found = tanh_form(last, side)) return found;
      nodes_ = {last};
      if (auto found = sigmoid_form(last, side)) return found;
    }
    return std::nullopt;
  }

 private:
  static constexpr double kCubic = 0.044715, kInner = 0.7978845608;  // sqrt(2 / pi)

  // Its only use halves it: the pattern ends there.
  bool is_halved(int node) const {
    const IndexList& uses = graph_.values[at(node).outputs[0]].consumers;
    if (uses.size() != 1 || at(uses[0]).op != "Mul") return false;
    int other = -1;
    return with_number(context_, at(uses[0]), &other) == 0.5f;
  }

  // tanh(...) + 1 of x, perhaps halved; `half` counts.
  int take_gate(int value, int* halves) {
    if (const int inner = take_number(value, "Mul", 0.5); inner >= 0) {
      ++*halves;
      value = inner;
    }
    value = take_number(value, "Add", 1.0);
    const int tanh = value < 0 ? -1 : take(value, "Tanh");
    const int sum = tanh < 0 ? -1 : take_number(at(tanh).inputs[0], "Mul", kInner);
    const int add = sum < 0 ? -1 : take(sum, "Add");
    for (const int side : {0, 1}) {
      if (add < 0) break;
      const std::vector<int> before = nodes_;
      const int x = at(add).inputs[side];
      const int cube = take_number(at(add).inputs[1 - side], "Mul", kCubic);
      if (cube >= 0 && take_power(cube, 3) == x) return x;
      nodes_ = before;
    }
    return -1;
  }

  std::optional<Match> tanh_form(int last, int side) {
    int halves = 0, product = last, x = -1;
    if (with_number(context_, at(last), &x) == 0.5f) {  // (x * gate) * 0.5
      ++halves;
      product = take(x, "Mul");
      if (product < 0) return std::nullopt;
    }
    const int gated = take_gate(at(product).inputs[side], &halves);
    if (gated < 0) return std::nullopt;
    int other = at(product).inputs[1 - side];
    if (other != gated) {  // (x * 0.5) * gate
      ++halves;
      other = take_number(other, "Mul", 0.5);
    }
    if (other != gated || halves != 1) return std::nullopt;
    return finish(last, "gelu", Unary{UnaryKind::kGeluTanh, 0, 0}, gated, last);
  }

  std::optional<Match> sigmoid_form(int last, int side) {
    const int sigmoid = take(at(last).inputs[side], "Sigmoid");
    const int mul = sigmoid < 0 ? -1 : take(at(sigmoid).inputs[0], "Mul");
    int x = -1;
    const auto alpha = mul < 0 ? std::nullopt : with_number(context_, at(mul), &x);
    if (!alpha || *alpha <= 0.0f || x != at(last).inputs[1 - side]) return std::nullopt;
    return finish(last, "silu", Unary{UnaryKind::kSilu, *alpha, 0}, x, last);
  }
};

}  // namespace

std::optional<Match> match_norm(const RecogniseContext& context, int last) {
  if (auto found = GroupNormMatcher(context).run(last)) return found;
  return context.graph.nodes[last].op == "Reshape" ? std::nullopt : LayerNormMatcher(context).run(last);
}

std::optional<Match> match_gelu(const RecogniseContext& context, int last) { return GeluMatcher(context).run(last); }

}  // namespace sparsecpu
