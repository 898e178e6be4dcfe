#include "recognise/patterns/heads.h"

#include <algorithm>
#include <utility>

#include "recognise/patterns/patterns.h"
#include "recognise/quantized.h"

namespace sparsecpu {
namespace {

bool is_activation(const RecogniseContext& context, int value) {
  return value >= 0 && !context.value(value).is_constant;
}

class TokensReader {
 public:
  explicit TokensReader(const RecogniseContext& context) : context_(context), graph_(context.graph) {}

  Check read(int operand, bool transposed, const char* what, bool quantized, Tokens* tokens) {
    const std::vector<Link> links = links_of(context_, operand, quantized);
    for (const int rank : {3, 2}) {
      for (size_t i = 0; i <= links.size(); ++i) {
        const int source = i == 0 ? operand : links[i - 1].input;
        const Shape* shape = context_.proof(source);
        if (context_.rank(source) != rank || shape == nullptr || static_cast<int>(shape->size()) != rank) continue;
        Tokens found;
        found.source = source;
        if (!trace(operand, transposed, links, i, &found)) continue;
        found.steps = joined_functions(links, i);
        // A list of heads of all sequences is a list of tokens, too: the source is where most heads lie side by side,
        // and of those where least is to be done to it.
        const bool better =
            found.heads > tokens->heads || (found.heads == tokens->heads && found.steps.size() < tokens->steps.size());
        if (tokens->source >= 0 && !better) continue;
        for (size_t l = 0; l < i; ++l)
          found.nodes.insert(found.nodes.end(), links[l].nodes.begin(), links[l].nodes.end());
        *tokens = std::move(found);
      }
      if (tokens->source < 0) continue;
      if (rank == 2 && !set_target(operand, transposed, tokens)) {
        return decline(std::string("its ") + what +
                       " come from tokens of several sequences in one axis, of unknown number and length");
      }
      if (quantized) return {};
      for (const OpData& step : std::exchange(tokens->steps, {})) tokens->scale *= std::get<Affine>(step).scale.front();
      return {};
    }
    return decline(std::string("its ") + what + " are not known to be the heads of a list of tokens");
  }

 private:
  const Node& at(int node) const { return graph_.nodes[node]; }
  bool is(int node, const char* type) const { return at(node).op == type; }

  // Whether the operand is [batch, heads, tokens, width] (transposed: [..., width, tokens]) of tokens->source.
  bool trace(int operand, bool transposed, const std::vector<Link>& links, size_t count, Tokens* tokens) const {
    const Shape& source = *context_.proof(tokens->source);
    AxisTrace trace = AxisTrace::of(source);
    for (size_t i = count; i-- > 0;) {
      if (links[i].function) continue;
      if (!follow_axes(context_, at(links[i].nodes.back()), links[i].value, &trace)) return false;
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
           columns == simplified({element}) && context_.proven_dim(operand, width_axis) == tokens->width &&
           context_.proven_dim(tokens->source, channel) == tokens->channels &&
           tokens->begin + tokens->heads * tokens->width <= tokens->channels;
  }

  // [tokens, c] -> [batch, tokens, c] in a way that holds for every size.
  bool set_target(int operand, bool transposed, Tokens* tokens) const {
    const int rank = context_.rank(operand);
    const int64_t length = context_.proven_dim(operand, rank - (transposed ? 1 : 2));
    const int64_t batch = rank == 4 ? context_.proven_dim(operand, 0) : -1;
    if (length < 0 && batch < 0) return false;
    tokens->target = {length < 0 ? batch : -1, length, tokens->channels};
    return true;
  }

  const RecogniseContext& context_;
  const Graph& graph_;
};

// com.microsoft FusedMatMul: alpha times a product whose sides may be transposed.
std::optional<Product> fused_product(const RecogniseContext& context, int value) {
  Product result;
  result.nodes = {context.graph.producer(value)};
  if (result.nodes[0] < 0) return std::nullopt;
  const Node& node = context.graph.nodes[result.nodes[0]];
  if (node.op != "com.microsoft.FusedMatMul" || node.inputs.size() != 2) return std::nullopt;
  const auto flag = [&](const char* name) { return node.attribute(name, int64_t{0}) != 0; };
  result.left = node.inputs[0];
  result.right = node.inputs[1];
  result.left_transposed = flag("transA");
  result.right_transposed = flag("transB");
  result.scale = node.attribute("alpha", 1.0f);
  const bool two = is_activation(context, result.left) && is_activation(context, result.right);
  return two && !flag("transBatchA") && !flag("transBatchB") ? std::optional(result) : std::nullopt;
}

}  // namespace

std::optional<Product> find_product(const RecogniseContext& context, int value) {
  const Graph& graph = context.graph;
  const auto is = [&](int node, const char* type) { return node >= 0 && graph.nodes[node].op == type; };
  if (auto fused = fused_product(context, value)) return fused;
  Product result;
  int node = graph.producer(value);
  for (const char* type : {"DequantizeLinear", "QuantizeLinear"}) {
    if (!is(node, type)) continue;
    const auto found = quantization_of(context, node, 1);
    if (!found || (result.y && !same_quantization(*result.y, *found))) return std::nullopt;
    result.y = found;
    result.nodes.push_back(node);
    node = graph.producer(graph.nodes[node].inputs[0]);
  }
  if (node < 0) return std::nullopt;
  result.nodes.push_back(node);
  const IndexList& inputs = graph.nodes[node].inputs;
  if (is(node, "QLinearMatMul")) {
    const auto y = quantization_of(context, node, 6);
    if (!y || (result.y && !same_quantization(*result.y, *y))) return std::nullopt;
    result.y = y;
    result.a = quantization_of(context, node, 1);
    result.b = quantization_of(context, node, 4);
    result.left = inputs[0];
    result.right = inputs[3];
    if (!result.a || !result.b) return std::nullopt;
  } else if (is(node, "MatMul") && inputs.size() == 2) {
    result.left = inputs[0];
    result.right = inputs[1];
    const int left = made_by(graph, inputs[0], "DequantizeLinear");
    const int right = made_by(graph, inputs[1], "DequantizeLinear");
    if (left >= 0 && right >= 0) {
      result.a = quantization_of(context, left, 1);
      result.b = quantization_of(context, right, 1);
      if (!result.a || !result.b) return std::nullopt;
      result.left = graph.nodes[left].inputs[0];
      result.right = graph.nodes[right].inputs[0];
      result.nodes.insert(result.nodes.end(), {left, right});
    }
  } else {
    return std::nullopt;
  }
  const bool two = is_activation(context, result.left) && is_activation(context, result.right);
  return two && (result.quantized() || !result.y) ? std::optional(result) : std::nullopt;
}

Check find_tokens(const RecogniseContext& context, int operand, bool transposed, const char* what, bool quantized,
                  Tokens* tokens) {
  return TokensReader(context).read(operand, transposed, what, quantized, tokens);
}

bool follow_axes(const RecogniseContext& context, const Node& node, int output, AxisTrace* trace) {
  if (scales(node) || requantizes(node) || node.op == "Identity") return true;
  if (node.op == "Transpose") return trace->transpose(node.attribute("perm", std::vector<int64_t>{}));
  if (node.op == "Gather")
    return trace->select(node.attribute("axis", int64_t{0}),
                         static_cast<int64_t>(*context.static_number(node.inputs[1])));
  if (node.op == "Split") {
    const auto found = std::find(node.outputs.begin(), node.outputs.end(), output);
    if (!trace->select(node.attribute("axis", int64_t{0}), found - node.outputs.begin())) return false;
  }
  const std::optional<Shape>& to = context.facts[output].proof;
  return to && trace->reshape(*to);
}

}  // namespace sparsecpu
