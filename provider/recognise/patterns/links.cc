#include "recognise/patterns/links.h"

#include <algorithm>
#include <array>

#include "recognise/qdq.h"
#include "recognise/quantized.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

template <class T>
const T* function_as(const Link& link) {
  return link.function ? std::get_if<T>(&*link.function) : nullptr;
}

// One of several tensors that are stacked along an axis of their own.
bool selects(const RecogniseContext& context, const Node& node, int output) {
  if (node.op != "Split" && node.op != "Gather") return false;
  const int rank = context.rank(node.inputs[0]);
  if (rank < 4) return false;
  if (node.op == "Gather") return context.rank(node.inputs[1]) == 0 && context.static_number(node.inputs[1]);
  int64_t axis = node.attribute("axis", int64_t{0});
  axis += axis < 0 ? rank : 0;
  return context.proven_dim(output, static_cast<int>(axis)) == 1;
}

// A product of bytes with a number, as one operator or between DequantizeLinear and `last`, a QuantizeLinear.
std::optional<Link> table_of(const RecogniseContext& context, int last) {
  const Graph& graph = context.graph;
  const Node& node = graph.nodes[last];
  Unit unit{{last}, last, last};
  Meaning product = decline("");
  if (node.op == "com.microsoft.QLinearMul") {
    product = recognise_qlinear(context, node);
  } else {
    unit.main = made_by(graph, node.inputs[0], "Mul");
    if (unit.main < 0) return std::nullopt;
    unit.nodes.push_back(unit.main);
    for (int input : graph.nodes[unit.main].inputs) unit.nodes.push_back(made_by(graph, input, "DequantizeLinear"));
    std::sort(unit.nodes.begin(), unit.nodes.end());
    if (unit.nodes.front() < 0) return std::nullopt;
    product = recognise_qdq(context, unit).meaning;
  }
  if (!product || !std::holds_alternative<Lookup>(product->front().data)) return std::nullopt;
  return Link{unit.nodes, product->front().inputs[0], node.outputs[0], product->front().data};
}

}  // namespace

bool scales(const Node& node) { return node.op == "Mul" || node.op == "Div"; }

bool requantizes(const Node& node) { return node.op == "QuantizeLinear" || node.op == "DequantizeLinear"; }

bool only_moves(const Node& node) {
  static constexpr std::array kNames{"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity"};
  return std::find(kNames.begin(), kNames.end(), node.op) != kNames.end();
}

std::optional<Quantization> quantization_of(const RecogniseContext& context, int node, size_t scale) {
  Quantization result;
  const Check read = read_quantization(context, context.graph.nodes[node], scale, &result);
  return read ? std::optional(result) : std::nullopt;
}

std::optional<Link> nan_guard_of(const RecogniseContext& context, int value) {
  const Graph& graph = context.graph;
  const int guard = made_by(graph, value, "Where");
  if (guard < 0) return std::nullopt;
  const Node& where = graph.nodes[guard];
  if (context.number_beside(where.inputs[1], where.inputs[2]) != 0.0f) return std::nullopt;
  const int test = made_by(graph, where.inputs[0], "IsNaN");
  if (test < 0) return std::nullopt;
  Link link{{guard, test}, where.inputs[2], value, Affine{Axes::kTokens, {1.0f}, {kNoShift}}};
  const int tested = graph.nodes[test].inputs[0];
  if (tested == link.input) return link;
  // onnxruntime gives each of the two a DequantizeLinear of its own.
  const int one = made_by(graph, tested, "DequantizeLinear"), other = made_by(graph, link.input, "DequantizeLinear");
  if (one < 0 || other < 0 || graph.nodes[one].inputs != graph.nodes[other].inputs) return std::nullopt;
  link.nodes.push_back(one);
  return link;
}

std::optional<Link> link_of(const RecogniseContext& context, int value, bool quantized) {
  const Graph& graph = context.graph;
  const int index = graph.producer(value);
  if (index < 0 || graph.nodes[index].inputs.empty()) return std::nullopt;
  const Node& node = graph.nodes[index];
  if (quantized && (node.op == "QuantizeLinear" || node.op == "com.microsoft.QLinearMul")) {
    if (auto table = table_of(context, index)) return table;
  }
  if (quantized && node.op == "Where") return nan_guard_of(context, value);
  Link link{{index}, node.inputs[0], value, std::nullopt};
  if (requantizes(node)) {
    const auto found = quantization_of(context, index, 1);
    if (!quantized || !found) return std::nullopt;
    if (node.op == "QuantizeLinear") {
      link.function = Quantize{*found};
    } else {
      link.function = Dequantize{*found};
    }
  } else if (scales(node)) {
    const auto number = with_number(context, node, &link.input);
    if (!number) return std::nullopt;
    (node.op == "Div" ? link.divisor : link.factor) = *number;
    link.function = Affine{Axes::kTokens, {link.factor / link.divisor}, {kNoShift}};
  } else if (!only_moves(node) && !selects(context, node, value)) {
    return std::nullopt;
  }
  return link;
}

std::vector<Link> links_of(const RecogniseContext& context, int value, bool quantized) {
  std::vector<Link> links;
  while (auto link = link_of(context, value, quantized)) {
    value = link->input;
    links.push_back(std::move(*link));
  }
  return links;
}

std::vector<OpData> joined_functions(const std::vector<Link>& links, size_t count) {
  std::vector<const Link*> functions;
  for (size_t i = count; i-- > 0;) {
    if (links[i].function) functions.push_back(&links[i]);
  }
  std::vector<OpData> result;
  for (size_t i = 0; i < functions.size(); ++i) {
    const auto* from = function_as<Dequantize>(*functions[i]);
    size_t end = i + 1;
    while (end < functions.size() && function_as<Affine>(*functions[end]) != nullptr) ++end;
    const auto* to = from != nullptr && end < functions.size() ? function_as<Quantize>(*functions[end]) : nullptr;
    if (to == nullptr) {
      result.push_back(*functions[i]->function);
      continue;
    }
    const auto function = [&](float v) {
      for (size_t f = i + 1; f < end; ++f) v = v * functions[f]->factor / functions[f]->divisor;
      return v;
    };
    if (end > i + 1 || !same_quantization(from->x, to->y)) result.push_back(function_table(from->x, to->y, function));
    i = end;
  }
  return result;
}

}  // namespace sparsecpu
