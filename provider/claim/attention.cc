// Attention as exporters write it: split heads (Reshape, Transpose), products, scales, mask and Softmax, joined heads.
// A head is a range of channels, so nothing of it is left but one Op over tokens.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "claim/axis_trace.h"
#include "claim/constants.h"
#include "claim/patterns.h"

namespace sparsecpu {
namespace {

bool is_number_op(const Node& node) { return node.op_type == "Mul" || node.op_type == "Div"; }

// Queries, keys or values: `heads` ranges of `width` channels from channel `begin` on, of a list of tokens.
struct Tokens {
  int source = -1;
  std::vector<int64_t> target;  // not empty: the source is [tokens, c], and is reshaped to this
  int64_t begin = 0, heads = 1, width = 0;
  int64_t channels = 0;  // of the source
  float scale = 1;
  std::vector<int> nodes;  // between the source and the product
};

class AttentionMatcher {
 public:
  AttentionMatcher(const RecogniseContext& context, int last) : context_(context), graph_(context.graph), last_(last) {}

  std::optional<Pattern> run() {
    if (!find_core()) return std::nullopt;
    std::string problem = read();
    std::optional<Unit> unit;
    if (problem.empty()) {
      unit = close_unit(graph_, nodes_, main_);
      if (!unit) problem = "a value inside the attention is used outside of it";
    }
    Pattern pattern;
    if (!problem.empty()) {
      pattern.unit.main = main_;
      pattern.meaning = decline(problem);
    } else {
      pattern.unit = std::move(*unit);
      pattern.meaning = meaning();
    }
    pattern.meaning.pattern = "attention";
    return pattern;
  }

 private:
  const Node& at(int node) const { return graph_.nodes[node]; }
  const Shape* probe(int value) const { return context_.facts[value].probe ? &*context_.facts[value].probe : nullptr; }

  static bool only_moves(const Node& node) {
    static constexpr std::array kNames{"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity"};
    return std::find(kNames.begin(), kNames.end(), node.op_type) != kNames.end();
  }

  int product(int value) const {
    const int node = maker(graph_, value);
    if (node < 0 || at(node).op_type != "MatMul" || at(node).inputs.size() != 2) return -1;
    for (int input : at(node).inputs) {
      if (input < 0 || context_.value(input).is_constant) return -1;
    }
    return node;
  }

  // From the joined heads back to the core: Softmax between two products, or an Attention operator.
  bool find_core() {
    int value = at(last_).outputs[0];
    int node = last_;
    while (node >= 0 && only_moves(at(node))) {
      after_.push_back(node);
      value = at(node).inputs[0];
      node = maker(graph_, value);
    }
    core_ = value;
    nodes_ = after_;
    if (node >= 0 && at(node).op_type == "Attention") {
      main_ = node;
      nodes_.push_back(node);
      return true;
    }
    const int second = product(value);
    if (second < 0) return false;
    nodes_.push_back(second);
    values_operand_ = at(second).inputs[1];
    int weights = at(second).inputs[0];
    // torch's guard of rows without a key: Where(IsNaN(p), 0, p).
    if (const int guard = made_by(graph_, weights, "Where"); guard >= 0) {
      const int test = made_by(graph_, at(guard).inputs[0], "IsNaN");
      const bool guards =
          test >= 0 && at(test).inputs[0] == at(guard).inputs[2] && context_.static_number(at(guard).inputs[1]) == 0.0f;
      if (!guards) return false;
      weights = at(guard).inputs[2];
      zero_nan_ = true;
      nodes_.insert(nodes_.end(), {guard, test});
    }
    main_ = made_by(graph_, weights, "Softmax");
    if (main_ < 0) return false;
    nodes_.push_back(main_);
    return true;
  }

  std::string read() {
    std::string problem = at(main_).op_type == "Attention" ? read_operator() : read_softmax();
    if (!problem.empty()) return problem;
    if (queries_.heads != keys_.heads || keys_.heads != values_.heads)
      return "its sides have different numbers of heads";
    if (queries_.width != keys_.width) return "the heads of its queries and keys have different widths";
    if (values_.scale != 1.0f) return "its values are scaled";
    return read_output();
  }

  std::string read_softmax() {
    const Node& softmax = at(main_);
    const int rank = context_.rank(softmax.inputs[0]);
    int64_t axis = softmax.attribute("axis", int64_t{softmax.since_version >= 13 ? -1 : 1});
    if (axis < 0) axis += rank;
    if (rank < 3 || axis != rank - 1) return "its Softmax is not over the last axis of a list of matrices";
    int scores = softmax.inputs[0];
    if (std::string problem = read_mask(&scores); !problem.empty()) return problem;
    int first = product(scores);
    while (first < 0) {
      const int node = maker(graph_, scores);
      int before = -1;
      const auto number = node >= 0 && is_number_op(at(node)) ? with_number(context_, at(node), &before) : std::nullopt;
      if (!number) return "its Softmax is not over scaled and masked products of two activations";
      scale_ *= at(node).op_type == "Div" ? 1.0f / *number : *number;
      nodes_.push_back(node);
      scores = before;
      first = product(scores);
    }
    nodes_.push_back(first);
    scores_ = scores;
    if (std::string problem = check_mask(); !problem.empty()) return problem;
    std::string problem = read_tokens(at(first).inputs[0], false, "queries", &queries_);
    if (problem.empty()) problem = read_tokens(at(first).inputs[1], true, "keys", &keys_);
    if (problem.empty()) problem = read_tokens(values_operand_, false, "values", &values_);
    return problem;
  }

  // The product behind scales; scores may be masked and scaled after it.
  bool leads_to_product(int value) const {
    while (product(value) < 0) {
      const int node = maker(graph_, value);
      if (node < 0 || !is_number_op(at(node)) || !with_number(context_, at(node), &value)) return false;
    }
    return true;
  }

  std::string read_mask(int* scores) {
    const int node = maker(graph_, *scores);
    if (node < 0 || (at(node).op_type != "Add" && at(node).op_type != "Where")) return "";
    const Node& masking = at(node);
    nodes_.push_back(node);
    if (masking.op_type == "Add") {
      const int side = leads_to_product(masking.inputs[0]) ? 0 : 1;
      *scores = masking.inputs[side];
      mask_ = masking.inputs[1 - side];
      if (!leads_to_product(*scores)) return "what it adds to its scores is no mask: neither side is a scaled product";
      return "";
    }
    drops_ = leads_to_product(masking.inputs[2]);
    const auto masked = context_.static_number(masking.inputs[drops_ ? 1 : 2]);
    *scores = masking.inputs[drops_ ? 2 : 1];
    mask_ = masking.inputs[0];
    // Adding it has to drown every score, as replacing it would.
    constexpr float kDrowns = -1e4f;
    if (!masked || *masked > kDrowns)
      return "the Where before its Softmax does not mask scores with a large negative number";
    masked_ = *masked;
    return "";
  }

  std::string check_mask() {
    if (mask_ < 0) return "";
    const int rank = context_.rank(scores_);
    // Sequences and heads in one axis are no axis of the mask.
    const int heads = rank == 4 ? scores_ : -1;
    return fit_mask(context_, ScoreAxes{{{scores_, rank - 1}, {scores_, rank - 2}, {heads, 1}, {heads, 0}}}, drops_,
                    &mask_);
  }

  // ONNX Attention (opset 23) with heads split by the nodes around it.
  std::string read_operator() {
    const Node& node = at(main_);
    for (size_t i = 4; i < node.inputs.size(); ++i) {
      if (node.inputs[i] >= 0) return "keys and values of earlier tokens are not supported";
    }
    for (size_t i = 1; i < node.outputs.size(); ++i) {
      if (node.outputs[i] >= 0) return "only its first output is supported";
    }
    if (node.inputs.size() < 3) return "it lacks an input";
    if (node.attribute("is_causal", int64_t{0}) != 0) return "is_causal is not supported";
    if (node.attribute("softcap", 0.0f) != 0.0f) return "softcap is not supported";
    if (context_.rank(node.inputs[0]) != 4) return "its input has to have rank 4";
    std::string problem = read_tokens(node.inputs[0], false, "queries", &queries_);
    if (problem.empty()) problem = read_tokens(node.inputs[1], false, "keys", &keys_);
    if (problem.empty()) problem = read_tokens(node.inputs[2], false, "values", &values_);
    if (!problem.empty()) return problem;
    scale_ = node.attribute("scale", 1.0f / std::sqrt(static_cast<float>(queries_.width)));
    if (!context_.has_input(node, 3)) return "";
    mask_ = node.inputs[3];
    const int q = node.inputs[0];
    return fit_mask(context_, ScoreAxes{{{node.inputs[1], 2}, {q, 2}, {q, 1}, {q, 0}}}, false, &mask_);
  }

  // Back from an operand of a product to the tokens whose heads it holds.
  std::string read_tokens(int operand, bool transposed, const char* what, Tokens* tokens) {
    std::vector<int> values{operand}, nodes;
    for (int node; (node = maker(graph_, values.back())) >= 0;) {
      int before = at(node).inputs.empty() ? -1 : at(node).inputs[0];
      if (is_number_op(at(node))) {
        if (!with_number(context_, at(node), &before)) break;
      } else if (!only_moves(at(node)) && !selects(at(node), values.back())) {
        break;
      }
      nodes.push_back(node);
      values.push_back(before);
    }
    for (const int rank : {3, 2}) {
      for (size_t i = 0; i < values.size(); ++i) {
        if (context_.rank(values[i]) != rank || probe(values[i]) == nullptr) continue;
        Tokens found;
        found.source = values[i];
        found.nodes.assign(nodes.begin(), nodes.begin() + static_cast<int>(i));
        // A list of heads of all sequences is a list of tokens, too: the source is where most heads lie side by side.
        if (trace(operand, transposed, values, &found) && (tokens->source < 0 || found.heads > tokens->heads))
          *tokens = found;
      }
      if (tokens->source < 0) continue;
      if (rank == 2 && !set_target(operand, transposed, tokens)) {
        return std::string("its ") + what +
               " come from tokens of several sequences in one axis, of unknown number and length";
      }
      for (int node : tokens->nodes) {
        int before = -1;
        if (!is_number_op(at(node))) continue;
        const float number = *with_number(context_, at(node), &before);
        tokens->scale *= at(node).op_type == "Div" ? 1.0f / number : number;
      }
      nodes_.insert(nodes_.end(), tokens->nodes.begin(), tokens->nodes.end());
      return "";
    }
    return std::string("its ") + what + " are not known to be the heads of a list of tokens";
  }

  // One of several tensors that are stacked along an axis of their own.
  bool selects(const Node& node, int output) const {
    if (node.op_type != "Split" && node.op_type != "Gather") return false;
    const int rank = context_.rank(node.inputs[0]);
    if (rank < 4) return false;
    if (node.op_type == "Gather") return context_.rank(node.inputs[1]) == 0 && context_.static_number(node.inputs[1]);
    int64_t axis = node.attribute("axis", int64_t{0});
    axis += axis < 0 ? rank : 0;
    return context_.static_dim(output, static_cast<int>(axis)) == 1;
  }

  bool follow(const Node& node, int output, AxisTrace* trace) const {
    if (is_number_op(node) || node.op_type == "Identity") return true;
    if (node.op_type == "Transpose") return trace->transpose(node.attribute("perm", std::vector<int64_t>{}));
    if (node.op_type == "Gather")
      return trace->select(node.attribute("axis", int64_t{0}),
                           static_cast<int64_t>(*context_.static_number(node.inputs[1])));
    if (node.op_type == "Split") {
      const auto found = std::find(node.outputs.begin(), node.outputs.end(), output);
      if (!trace->select(node.attribute("axis", int64_t{0}), found - node.outputs.begin())) return false;
    }
    return probe(output) != nullptr && trace->reshape(*probe(output));
  }

  // Whether the operand is [batch, heads, tokens, width] (transposed: [..., width, tokens]) of tokens->source.
  bool trace(int operand, bool transposed, const std::vector<int>& values, Tokens* tokens) const {
    const Shape& source = *probe(tokens->source);
    AxisTrace trace = AxisTrace::of(source);
    for (size_t i = tokens->nodes.size(); i-- > 0;) {
      if (!follow(at(tokens->nodes[i]), values[i], &trace)) return false;
    }
    const size_t rank = trace.axes().size();
    if (rank < 3) return false;
    Factors outer;
    for (size_t i = 0; i + 2 < rank; ++i) outer.insert(outer.end(), trace.axes()[i].begin(), trace.axes()[i].end());
    outer = simplified(outer);
    Factors rows = simplified(trace.axes()[rank - 2]), columns = simplified(trace.axes()[rank - 1]);
    if (transposed) std::swap(rows, columns);
    const int channel = static_cast<int>(source.size()) - 1;
    const int64_t length = rows.empty() ? 1 : rows[0].size;
    tokens->width = columns.empty() ? 1 : columns[0].size;
    tokens->heads = !outer.empty() && outer.back().source == channel ? outer.back().size : 1;
    tokens->channels = source[channel];
    tokens->begin = trace.offset(channel);
    const int64_t batch = source.size() == 3 ? source[0] : source[0] / std::max<int64_t>(1, length);
    const Factor head{channel, tokens->width, tokens->heads}, element{channel, 1, tokens->width};
    const Factor sequence{0, source.size() == 3 ? 1 : length, batch};
    const Factor token{source.size() == 3 ? 1 : 0, 1, length};
    const bool whole = source.size() == 3 ? source[1] == length : source[0] == batch * length;
    const int width_axis = context_.rank(operand) - (transposed ? 2 : 1);
    return whole && outer == simplified({sequence, head}) && rows == simplified({token}) &&
           columns == simplified({element}) && context_.static_dim(operand, width_axis) == tokens->width &&
           context_.static_dim(tokens->source, channel) == tokens->channels &&
           tokens->begin + tokens->heads * tokens->width <= tokens->channels;
  }

  // [tokens, c] -> [batch, tokens, c] in a way that holds for every size.
  bool set_target(int operand, bool transposed, Tokens* tokens) const {
    const int rank = context_.rank(operand);
    const int64_t length = context_.static_dim(operand, rank - (transposed ? 1 : 2));
    const int64_t batch = rank == 4 ? context_.static_dim(operand, 0) : -1;
    if (length < 0 && batch < 0) return false;
    tokens->target = {length < 0 ? batch : -1, length, tokens->channels};
    return true;
  }

  // [batch, queries, heads * width], or that with tokens in one axis.
  std::string read_output() {
    const Shape* core = probe(core_);
    if (core == nullptr || (core->size() != 3 && core->size() != 4)) return "the shape of its result is unknown";
    const bool four = core->size() == 4;
    const Factor sequence{0, 1, four ? (*core)[0] : (*core)[0] / values_.heads}, head{1, 1, values_.heads};
    const Factor token{2, 1, (*core)[four ? 2 : 1]}, element{3, 1, values_.width};
    AxisTrace trace(four ? std::vector<Factors>{{sequence}, {head}, {token}, {element}}
                         : std::vector<Factors>{{sequence, head}, {token}, {element}});
    for (size_t i = after_.size(); i-- > 0;) {
      if (!follow(at(after_[i]), at(after_[i]).outputs[0], &trace)) return "its heads are not joined to channels";
    }
    const std::vector<Factors>& axes = trace.axes();
    const auto is = [](const Factors& axis, const Factors& expected) {
      return simplified(axis) == simplified(expected);
    };
    flat_ = axes.size() == 2;
    const bool joined =
        flat_ ? is(axes[0], {sequence, token}) && is(axes[1], {head, element})
              : axes.size() == 3 && is(axes[0], {sequence}) && is(axes[1], {token}) && is(axes[2], {head, element});
    return joined ? "" : "its heads are not joined to channels";
  }

  Recognised meaning() const {
    Recognised result;
    int inside = -1;  // ~k
    const auto add = [&](OpData data, std::vector<int> inputs) {
      result.ops.push_back(Op{std::move(data), std::move(inputs), inside, main_, ""});
      return inside--;
    };
    const auto tokens_of = [&](const Tokens& tokens) {
      int value = tokens.source;
      if (!tokens.target.empty()) value = add(Reshape{Reshape::Kind::kTarget, tokens.target, false, 1}, {value});
      const int64_t end = tokens.begin + tokens.heads * tokens.width;
      if (end - tokens.begin == tokens.channels) return value;
      return add(Split{Axes::kTokens, tokens.begin, end}, {value});
    };
    Attention attention;
    attention.heads = queries_.heads;
    attention.scale = scale_ * queries_.scale * keys_.scale;
    attention.has_mask = mask_ >= 0;
    attention.mask_drops = drops_;
    attention.masked = masked_;
    attention.zero_nan = zero_nan_;
    std::vector<int> inputs{tokens_of(queries_), tokens_of(keys_), tokens_of(values_)};
    if (mask_ >= 0) inputs.push_back(mask_);
    int output = add(attention, inputs);
    if (flat_) output = add(Reshape{Reshape::Kind::kTarget, {-1, values_.heads * values_.width}, false, 1}, {output});
    result.ops.back().output = at(last_).outputs[0];
    return result;
  }

  const RecogniseContext& context_;
  const Graph& graph_;
  const int last_;
  int main_ = -1;
  std::vector<int> nodes_, after_;  // all; those that join the heads, last first
  int core_ = -1;                   // the product with the values
  int values_operand_ = -1, scores_ = -1, mask_ = -1;
  bool drops_ = false, zero_nan_ = false;
  float masked_ = -std::numeric_limits<float>::infinity();
  float scale_ = 1;
  bool flat_ = false;
  Tokens queries_, keys_, values_;
};

}  // namespace

std::optional<Pattern> match_attention(const RecogniseContext& context, int last) {
  return AttentionMatcher(context, last).run();
}

}  // namespace sparsecpu
