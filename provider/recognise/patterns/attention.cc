// Attention as exporters write it: split heads (Reshape, Transpose), products, scales, mask and Softmax, joined heads.
// A head is a range of channels, so nothing of it is left but one Op over tokens.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "recognise/masks.h"
#include "recognise/patterns/byte_softmax.h"
#include "recognise/patterns/heads.h"
#include "recognise/patterns/patterns.h"
#include "recognise/quantized.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

class AttentionMatcher {
 public:
  AttentionMatcher(const RecogniseContext& context, int last) : context_(context), graph_(context.graph), last_(last) {}

  std::optional<Match> run() {
    if (!find_core()) return std::nullopt;
    Match match{{{}, main_}, "", decline("")};
    const Check ok = read();
    match.meaning = ok ? meaning() : Meaning(ok.reason());
    if (match.meaning) {
      std::optional<Unit> unit = close_unit(graph_, nodes_, main_, *match.meaning);
      if (unit)
        match.unit = std::move(*unit);
      else
        match.meaning = decline("a value inside the attention is used outside of it");
    }
    match.pattern = first_.quantized() ? "quantized attention" : "attention";
    return match;
  }

 private:
  const Node& at(int node) const { return graph_.nodes[node]; }

  bool is(int node, const char* type) const { return node >= 0 && at(node).op == type; }
  // From the joined heads back to the core: Softmax between two products, or an Attention operator.
  bool find_core() {
    int value = at(last_).outputs[0];
    int node = last_;
    while (node >= 0 && (only_moves(at(node)) || requantizes(at(node)))) {
      after_.push_back(node);
      value = at(node).inputs[0];
      node = graph_.producer(value);
    }
    core_ = value;
    nodes_ = after_;
    if (is(node, "Attention")) {
      main_ = node;
      nodes_.push_back(node);
      unattended_ = kUnattended;
      // It gives floats: what quantizes them is a node of its own.
      return std::none_of(after_.begin(), after_.end(), [&](int moved) { return requantizes(at(moved)); });
    }
    const auto second = find_product(context_, value);
    if (!second || second->left_transposed) return false;
    second_ = *second;
    if (!read_requantization()) return false;
    nodes_.insert(nodes_.end(), second_.nodes.begin(), second_.nodes.end());
    int weights = second_.left;
    if (second_.quantized()) {
      byte_softmax_ = find_byte_softmax(context_, weights);
      if (byte_softmax_) {
        main_ = byte_softmax_->main;
        nodes_.insert(nodes_.end(), byte_softmax_->nodes.begin(), byte_softmax_->nodes.end());
        return true;
      }
      const int quantize = made_by(graph_, weights, "QuantizeLinear");
      const auto found = quantize < 0 ? std::nullopt : quantization_of(context_, quantize, 1);
      if (!found || !same_quantization(*found, *second_.a)) return false;
      nodes_.push_back(quantize);
      weights = at(quantize).inputs[0];
    }
    if (const auto guard = nan_guard_of(context_, weights)) {
      weights = guard->input;
      unattended_ = -std::numeric_limits<float>::infinity();
      nodes_.insert(nodes_.end(), guard->nodes.begin(), guard->nodes.end());
    }
    main_ = made_by(graph_, weights, "Softmax");
    if (main_ < 0) return false;
    nodes_.push_back(main_);
    return true;
  }

  // The bytes that the second product makes, and what leaves: nodes between it and the joined heads may quantize it,
  // and dequantize it again.
  bool read_requantization() {
    bool first = true;  // from the result on
    for (int node : after_) {
      if (!requantizes(at(node))) continue;
      const auto found = quantization_of(context_, node, 1);
      if (!second_.quantized() || !found || (second_.y && !same_quantization(*found, *second_.y))) return false;
      if (first) dequantizes_ = is(node, "DequantizeLinear");
      first = false;
      second_.y = found;
    }
    return true;
  }

  Check read() {
    Check ok = at(main_).op == "Attention" ? read_operator() : read_softmax();
    if (!ok) return ok;
    if (queries_.heads != keys_.heads || keys_.heads != values_.heads)
      return decline("its sides have different numbers of heads");
    if (queries_.width != keys_.width) return decline("the heads of its queries and keys have different widths");
    if (values_.scale != 1.0f) return decline("its values are scaled");
    if (!std::isnormal(scale_ * queries_.scale * keys_.scale))
      return decline("its scores are scaled by a number out of range");
    if (first_.quantized() && (queries_.width % 4 != 0 || values_.width % 4 != 0))
      return decline("its heads have " + std::to_string(queries_.width) +
                     " channels; of bytes, multiples of 4 are supported");
    return read_output();
  }

  Check read_softmax() {
    const Node& softmax = at(main_);
    const int rank = context_.rank(softmax.inputs[0]);
    const int64_t opset = softmax.attribute("opset", int64_t{softmax.since_version});  // of QLinearSoftmax
    int64_t axis = softmax.attribute("axis", int64_t{opset >= 13 ? -1 : 1});
    if (axis < 0) axis += rank;
    if (rank < 3 || axis != rank - 1) return decline("its Softmax is not over the last axis of a list of matrices");
    Check ok = byte_softmax_ ? read_byte_scores() : read_scores();
    const bool bytes = first_.quantized();
    if (ok) ok = read_tokens(first_.left, first_.left_transposed, "queries", bytes, &queries_);
    if (ok) ok = read_tokens(first_.right, !first_.right_transposed, "keys", bytes, &keys_);
    if (ok) ok = read_tokens(second_.right, second_.right_transposed, "values", bytes, &values_);
    scale_ *= first_.scale;
    values_.scale *= second_.scale;
    return ok;
  }

  Check read_byte_scores() {
    FoundByteSoftmax& found = *byte_softmax_;
    const auto first = find_product(context_, found.scores);
    if (!first || !first->quantized())
      return decline("its Softmax of bytes is not over scaled and masked products of bytes");
    first_ = *first;
    nodes_.insert(nodes_.end(), first_.nodes.begin(), first_.nodes.end());
    if (found.meaning.y.scale < 1e-6f) return decline("the scale of its weights is too small");
    scores_ = found.scores;
    mask_.value = found.mask;
    if (mask_.value < 0) return {};
    if (context_.rank(scores_) != 4)
      return decline("the scores that its mask of bytes is added to have other than four axes");
    Check ok = check_mask();
    if (ok && context_.value(mask_.value).is_constant) ok = fold_constant_mask(context_, &found);
    if (found.mask < 0) mask_ = {};
    return ok;
  }

  Check read_scores() {
    int scores = at(main_).inputs[0];
    if (Check ok = read_mask(&scores); !ok) return ok;
    std::optional<Product> first;
    while (!(first = find_product(context_, scores))) {
      const int node = graph_.producer(scores);
      int before = -1;
      const auto number = node >= 0 && scales(at(node)) ? with_number(context_, at(node), &before) : std::nullopt;
      if (!number) return decline("its Softmax is not over scaled and masked products of two activations");
      scale_ *= at(node).op == "Div" ? 1.0f / *number : *number;
      nodes_.push_back(node);
      scores = before;
    }
    first_ = *first;
    if (first_.quantized() != second_.quantized()) return decline("one of its products is quantized, the other is not");
    nodes_.insert(nodes_.end(), first_.nodes.begin(), first_.nodes.end());
    scores_ = scores;
    return check_mask();
  }

  // The product behind scales; scores may be masked and scaled after it.
  bool leads_to_product(int value) const {
    while (!find_product(context_, value)) {
      const int node = graph_.producer(value);
      if (node < 0 || !scales(at(node)) || !with_number(context_, at(node), &value)) return false;
    }
    return true;
  }

  Check read_mask(int* scores) {
    const int node = graph_.producer(*scores);
    if (node < 0 || (at(node).op != "Add" && at(node).op != "Where")) return {};
    const Node& masking = at(node);
    nodes_.push_back(node);
    if (masking.op == "Add") {
      const int side = leads_to_product(masking.inputs[0]) ? 0 : 1;
      *scores = masking.inputs[side];
      mask_.value = masking.inputs[1 - side];
      if (!leads_to_product(*scores))
        return decline("what it adds to its scores is no mask: neither side is a scaled product");
      return {};
    }
    drops_ = leads_to_product(masking.inputs[2]);
    *scores = masking.inputs[drops_ ? 2 : 1];
    const auto masked = context_.number_beside(masking.inputs[drops_ ? 1 : 2], *scores);
    mask_.value = masking.inputs[0];
    if (!masked || !(*masked < 0))
      return decline("the Where before its Softmax does not mask scores with a negative number");
    masked_ = *masked;
    replaces_ = true;
    return {};
  }

  Check check_mask() {
    if (mask_.value < 0) return {};
    const int rank = context_.rank(scores_);
    // Sequences and heads in one axis are no axis of the mask.
    const int heads = rank == 4 ? scores_ : -1;
    return fit_mask(context_, ScoreAxes{{{scores_, rank - 1}, {scores_, rank - 2}, {heads, 1}, {heads, 0}}}, drops_,
                    &mask_);
  }

  // ONNX Attention (opset 23) with heads split by the nodes around it.
  Check read_operator() {
    const Node& node = at(main_);
    for (size_t i = 4; i < node.inputs.size(); ++i) {
      if (node.inputs[i] >= 0) return decline("keys and values of earlier tokens are not supported");
    }
    for (size_t i = 1; i < node.outputs.size(); ++i) {
      if (node.outputs[i] >= 0) return decline("only its first output is supported");
    }
    if (node.inputs.size() < 3) return decline("it lacks an input");
    if (node.attribute("is_causal", int64_t{0}) != 0) return decline("is_causal is not supported");
    if (node.attribute("softcap", 0.0f) != 0.0f) return decline("softcap is not supported");
    if (context_.rank(node.inputs[0]) != 4) return decline("its input has to have rank 4");
    Check ok = read_tokens(node.inputs[0], false, "queries", false, &queries_);
    if (ok) ok = read_tokens(node.inputs[1], false, "keys", false, &keys_);
    if (ok) ok = read_tokens(node.inputs[2], false, "values", false, &values_);
    if (!ok) return ok;
    scale_ = node.attribute("scale", 1.0f / std::sqrt(static_cast<float>(queries_.width)));
    if (!context_.has_input(node, 3)) return {};
    mask_.value = node.inputs[3];
    const int q = node.inputs[0];
    return fit_mask(context_, ScoreAxes{{{node.inputs[1], 2}, {q, 2}, {q, 1}, {q, 0}}}, false, &mask_);
  }

  Check read_tokens(int operand, bool transposed, const char* what, bool quantized, Tokens* tokens) {
    Check ok = find_tokens(context_, operand, transposed, what, quantized, tokens);
    nodes_.insert(nodes_.end(), tokens->nodes.begin(), tokens->nodes.end());
    return ok;
  }

  // [batch, queries, heads * width], or that with tokens in one axis.
  Check read_output() {
    const Shape* core = context_.proof(core_);
    if (core == nullptr || (core->size() != 3 && core->size() != 4))
      return decline("the shape of its result is unknown");
    const bool four = core->size() == 4;
    const Factor sequence{0, 1, four ? (*core)[0] : (*core)[0] / values_.heads}, head{1, 1, values_.heads};
    const Factor token{2, 1, (*core)[four ? 2 : 1]}, element{3, 1, values_.width};
    AxisTrace trace(four ? std::vector<Factors>{{sequence}, {head}, {token}, {element}}
                         : std::vector<Factors>{{sequence, head}, {token}, {element}});
    for (size_t i = after_.size(); i-- > 0;) {
      if (!follow_axes(context_, at(after_[i]), at(after_[i]).outputs[0], &trace))
        return decline("its heads are not joined to channels");
    }
    const std::vector<Factors>& axes = trace.axes();
    const auto is = [](const Factors& axis, const Factors& expected) {
      return simplified(axis) == simplified(expected);
    };
    flat_ = axes.size() == 2;
    const bool joined =
        flat_ ? is(axes[0], {sequence, token}) && is(axes[1], {head, element})
              : axes.size() == 3 && is(axes[0], {sequence}) && is(axes[1], {token}) && is(axes[2], {head, element});
    if (!joined) return decline("its heads are not joined to channels");
    return {};
  }

  Ops meaning() const {
    Ops result;
    int inside = -1;  // ~k
    const auto add = [&](OpData data, std::vector<int> inputs) {
      result.push_back(Op{std::move(data), std::move(inputs), inside, main_, ""});
      return inside--;
    };
    const auto tokens_of = [&](const Tokens& tokens) {
      int value = tokens.source;
      if (!tokens.target.empty()) value = add(Reshape{Reshape::Kind::kTarget, tokens.target, false, 1}, {value});
      const int64_t end = tokens.begin + tokens.heads * tokens.width;
      if (end - tokens.begin < tokens.channels) value = add(Split{Axes::kTokens, tokens.begin, end}, {value});
      for (const OpData& step : tokens.steps) value = add(step, {value});
      return value;
    };
    QuantizedAttention attention;
    attention.heads = queries_.heads;
    attention.scale = scale_ * queries_.scale * keys_.scale;
    attention.mask = mask_.kind;
    attention.masked = masked_;
    attention.replaces = replaces_ && mask_.kind != MaskKind::kNone;
    attention.unattended = unattended_;
    std::vector<int> inputs{tokens_of(queries_), tokens_of(keys_), tokens_of(values_)};
    if (mask_.value >= 0) inputs.push_back(mask_.value);
    int output = -1;
    if (first_.quantized()) {
      attention.q = *first_.a;
      attention.k = *first_.b;
      attention.v = *second_.b;
      attention.scores = first_.y;
      if (byte_softmax_) attention.softmax = byte_softmax_->meaning;
      attention.weights = *second_.a;
      attention.y = second_.y;
      output = add(attention, inputs);
      if (dequantizes_) output = add(Dequantize{*second_.y}, {output});
    } else {
      output = add(FloatAttention{attention}, inputs);
    }
    if (flat_) output = add(Reshape{Reshape::Kind::kTarget, {-1, values_.heads * values_.width}, false, 1}, {output});
    result.back().output = at(last_).outputs[0];
    return result;
  }

  const RecogniseContext& context_;
  const Graph& graph_;
  const int last_;
  int main_ = -1;
  std::vector<int> nodes_, after_;  // all; those that join the heads, last first
  int core_ = -1;                   // the product with the values
  int scores_ = -1;
  Mask mask_;
  Product first_, second_;
  std::optional<FoundByteSoftmax> byte_softmax_;
  bool dequantizes_ = false;  // behind the second product
  bool drops_ = false, replaces_ = false;
  std::optional<float> unattended_;
  float masked_ = -std::numeric_limits<float>::infinity();
  float scale_ = 1;
  bool flat_ = false;
  Tokens queries_, keys_, values_;
};

}  // namespace

std::optional<Match> match_attention(const RecogniseContext& context, int last) {
  return AttentionMatcher(context, last).run();
}

}  // namespace sparsecpu
