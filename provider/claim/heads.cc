#include "claim/heads.h"

#include <algorithm>
#include <array>
#include <utility>

#include "claim/patterns.h"
#include "claim/quantized.h"

namespace sparsecpu {
namespace {

bool is_activation(const RecogniseContext& context, int value) {
  return value >= 0 && !context.value(value).is_constant;
}

// What one link of the way back from a product does: it moves elements, or is a function of each of them.
struct Link {
  std::vector<int> nodes;  // the last one makes `value`
  int input = -1, value = -1;
  std::optional<OpData> function;  // Affine, Quantize, Dequantize, Lookup
  float factor = 1, divisor = 1;   // Affine: a Mul or Div with a number
};

template <class T>
const T* function_as(const Link& link) {
  return link.function ? std::get_if<T>(&*link.function) : nullptr;
}

// Functions in the order in which they are applied. From bytes through floats to bytes again is a table; or nothing, if
// the quantization is the same and nothing lies in between.
std::vector<OpData> joined_functions(const std::vector<const Link*>& links) {
  std::vector<OpData> result;
  for (size_t i = 0; i < links.size(); ++i) {
    const auto* from = function_as<Dequantize>(*links[i]);
    size_t end = i + 1;
    while (end < links.size() && function_as<Affine>(*links[end]) != nullptr) ++end;
    const auto* to = from != nullptr && end < links.size() ? function_as<Quantize>(*links[end]) : nullptr;
    if (to == nullptr) {
      result.push_back(*links[i]->function);
      continue;
    }
    const auto function = [&](float v) {
      for (size_t f = i + 1; f < end; ++f) v = v * links[f]->factor / links[f]->divisor;
      return v;
    };
    if (end > i + 1 || !same_quantization(from->x, to->y)) result.push_back(function_table(from->x, to->y, function));
    i = end;
  }
  return result;
}

class TokensReader {
 public:
  explicit TokensReader(const RecogniseContext& context) : context_(context), graph_(context.graph) {}

  std::string read(int operand, bool transposed, const char* what, bool quantized, Tokens* tokens) {
    const std::vector<Link> links = links_of(operand, quantized);
    for (const int rank : {3, 2}) {
      for (size_t i = 0; i <= links.size(); ++i) {
        const int source = i == 0 ? operand : links[i - 1].input;
        if (context_.rank(source) != rank || probe(source) == nullptr) continue;
        Tokens found;
        found.source = source;
        if (!trace(operand, transposed, links, i, &found)) continue;
        found.steps = joined_functions(functions_of(links, i));
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
        return std::string("its ") + what +
               " come from tokens of several sequences in one axis, of unknown number and length";
      }
      if (quantized) return "";
      for (const OpData& step : std::exchange(tokens->steps, {})) tokens->scale *= std::get<Affine>(step).scale.front();
      return "";
    }
    return std::string("its ") + what + " are not known to be the heads of a list of tokens";
  }

 private:
  const Node& at(int node) const { return graph_.nodes[node]; }
  bool is(int node, const char* type) const { return at(node).op_type == type; }
  const Shape* probe(int value) const { return context_.facts[value].probe ? &*context_.facts[value].probe : nullptr; }

  // Back from the operand, as far as elements are only moved or are functions of themselves.
  std::vector<Link> links_of(int operand, bool quantized) const {
    std::vector<Link> links;
    for (int value = operand;; value = links.back().input) {
      std::optional<Link> link = link_of(value, quantized);
      if (!link) return links;
      links.push_back(std::move(*link));
    }
  }

  std::optional<Link> link_of(int value, bool quantized) const {
    const int node = value >= 0 ? graph_.values[value].producer : -1;
    if (node < 0 || at(node).inputs.empty()) return std::nullopt;
    Link link{{node}, at(node).inputs[0], value, std::nullopt};
    if (quantized && (at(node).op_type == "QuantizeLinear" || at(node).op_type == "QLinearMul")) {
      if (auto table = table_of(node)) return table;
    }
    if (!at(node).domain.empty()) return std::nullopt;
    if (requantizes(at(node))) {
      const auto found = quantization_of(context_, node, 1);
      if (!quantized || !found) return std::nullopt;
      if (is(node, "QuantizeLinear")) {
        link.function = Quantize{*found};
      } else {
        link.function = Dequantize{*found};
      }
    } else if (scales(at(node))) {
      const auto number = with_number(context_, at(node), &link.input);
      if (!number) return std::nullopt;
      (is(node, "Div") ? link.divisor : link.factor) = *number;
      link.function = Affine{Axes::kTokens, {link.factor / link.divisor}, {0.0f}};
    } else if (!only_moves(at(node)) && !selects(at(node), value)) {
      return std::nullopt;
    }
    return link;
  }

  // A product of bytes with a number, as one operator or between DequantizeLinear and `last`, a QuantizeLinear.
  std::optional<Link> table_of(int last) const {
    Unit unit{{last}, last, last};
    Recognised product;
    if (is(last, "QLinearMul")) {
      product = recognise_qlinear(context_, at(last));
    } else {
      unit.main = made_by(graph_, at(last).inputs[0], "Mul");
      if (unit.main < 0) return std::nullopt;
      unit.nodes.push_back(unit.main);
      for (int input : at(unit.main).inputs) unit.nodes.push_back(made_by(graph_, input, "DequantizeLinear"));
      std::sort(unit.nodes.begin(), unit.nodes.end());
      if (unit.nodes.front() < 0) return std::nullopt;
      product = recognise_qdq(context_, unit);
    }
    if (!product.ok() || !std::holds_alternative<Lookup>(product.ops[0].data)) return std::nullopt;
    return Link{unit.nodes, product.ops[0].inputs[0], at(last).outputs[0], product.ops[0].data};
  }

  // Of the first `count` links, in the order in which they are applied.
  static std::vector<const Link*> functions_of(const std::vector<Link>& links, size_t count) {
    std::vector<const Link*> result;
    for (size_t i = count; i-- > 0;) {
      if (links[i].function) result.push_back(&links[i]);
    }
    return result;
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

  // Whether the operand is [batch, heads, tokens, width] (transposed: [..., width, tokens]) of tokens->source.
  bool trace(int operand, bool transposed, const std::vector<Link>& links, size_t count, Tokens* tokens) const {
    const Shape& source = *probe(tokens->source);
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

  const RecogniseContext& context_;
  const Graph& graph_;
};

// com.microsoft FusedMatMul: alpha times a product whose sides may be transposed.
std::optional<Product> fused_product(const RecogniseContext& context, int value) {
  Product result;
  result.nodes = {value >= 0 ? context.graph.values[value].producer : -1};
  if (result.nodes[0] < 0) return std::nullopt;
  const Node& node = context.graph.nodes[result.nodes[0]];
  if (node.domain != "com.microsoft" || node.op_type != "FusedMatMul" || node.inputs.size() != 2) return std::nullopt;
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

bool scales(const Node& node) { return node.op_type == "Mul" || node.op_type == "Div"; }

bool requantizes(const Node& node) { return node.op_type == "QuantizeLinear" || node.op_type == "DequantizeLinear"; }

bool only_moves(const Node& node) {
  static constexpr std::array kNames{"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity"};
  return std::find(kNames.begin(), kNames.end(), node.op_type) != kNames.end();
}

std::optional<Quantization> quantization_of(const RecogniseContext& context, int node, size_t scale) {
  Quantization result;
  const bool read = read_quantization(context, context.graph.nodes[node], scale, &result).empty();
  return read ? std::optional(result) : std::nullopt;
}

std::optional<Product> find_product(const RecogniseContext& context, int value) {
  const Graph& graph = context.graph;
  const auto is = [&](int node, const char* type) { return node >= 0 && graph.nodes[node].op_type == type; };
  if (auto fused = fused_product(context, value)) return fused;
  Product result;
  int node = maker(graph, value);
  for (const char* type : {"DequantizeLinear", "QuantizeLinear"}) {
    if (!is(node, type)) continue;
    const auto found = quantization_of(context, node, 1);
    if (!found || (result.y && !same_quantization(*result.y, *found))) return std::nullopt;
    result.y = found;
    result.nodes.push_back(node);
    node = maker(graph, graph.nodes[node].inputs[0]);
  }
  if (node < 0) return std::nullopt;
  result.nodes.push_back(node);
  const std::vector<int>& inputs = graph.nodes[node].inputs;
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

std::string find_tokens(const RecogniseContext& context, int operand, bool transposed, const char* what, bool quantized,
                        Tokens* tokens) {
  return TokensReader(context).read(operand, transposed, what, quantized, tokens);
}

bool follow_axes(const RecogniseContext& context, const Node& node, int output, AxisTrace* trace) {
  if (scales(node) || requantizes(node) || node.op_type == "Identity") return true;
  if (node.op_type == "Transpose") return trace->transpose(node.attribute("perm", std::vector<int64_t>{}));
  if (node.op_type == "Gather")
    return trace->select(node.attribute("axis", int64_t{0}),
                         static_cast<int64_t>(*context.static_number(node.inputs[1])));
  if (node.op_type == "Split") {
    const auto found = std::find(node.outputs.begin(), node.outputs.end(), output);
    if (!trace->select(node.attribute("axis", int64_t{0}), found - node.outputs.begin())) return false;
  }
  const std::optional<Shape>& to = context.facts[output].probe;
  return to && trace->reshape(*to);
}

}  // namespace sparsecpu
