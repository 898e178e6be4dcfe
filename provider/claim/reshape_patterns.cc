// Reshape to sizes that the model computes of other values' shapes: alone, where the sizes can be said in numbers, and
// around a Gemm, which exporters give the tokens of all sequences in one axis.
#include <algorithm>

#include "claim/patterns.h"

namespace sparsecpu {
namespace {

// What the target says for every size of the model's axes: numbers, 0 for the input's own size of that axis, one -1.
std::optional<std::vector<int64_t>> target_in_numbers(const RecogniseContext& context, const Node& reshape) {
  const ValueFacts &x = context.facts[reshape.inputs[0]], &target = context.facts[reshape.inputs[1]];
  if (!x.probe || !x.assumed || !target.probe_numbers || !target.assumed_numbers) return std::nullopt;
  const bool zeros_stay = reshape.attribute("allowzero", int64_t{0}) != 0;
  std::vector<int64_t> result;
  for (size_t i = 0; i < target.probe_numbers->size(); ++i) {
    const auto probe = static_cast<int64_t>((*target.probe_numbers)[i]);
    const auto assumed = static_cast<int64_t>((*target.assumed_numbers)[i]);
    const bool copies = i < x.probe->size() && (*x.probe)[i] == probe && (*x.assumed)[i] == assumed;
    if (zeros_stay && probe == 0) return std::nullopt;
    result.push_back(probe == assumed ? probe : copies ? 0 : -1);
  }
  return std::count(result.begin(), result.end(), -1) <= 1 ? std::optional(result) : std::nullopt;
}

// [..., in] -> [..., out], whatever the other axes are.
bool changes_channels(const Shape& from, Shape to, const Linear& linear) {
  if (from.size() < 2 || from.size() != to.size()) return false;
  if (from.back() != linear.in_channels || to.back() != linear.out_channels) return false;
  to.back() = from.back();
  return from == to;
}

// Reshape, Gemm, Reshape as a layer over the tokens of [..., tokens, c].
std::optional<Pattern> match_linear(const RecogniseContext& context, int last) {
  const Graph& graph = context.graph;
  const int gemm = made_by(graph, graph.nodes[last].inputs[0], "Gemm");
  const int flatten = gemm < 0 ? -1 : made_by(graph, graph.nodes[gemm].inputs[0], "Reshape");
  if (flatten < 0) return std::nullopt;
  const int x = graph.nodes[flatten].inputs[0], y = graph.nodes[last].outputs[0];
  const ValueFacts &from = context.facts[x], &to = context.facts[y];
  Recognised layer = recognise_gemm(context, graph.nodes[gemm]);
  if (layer.ops.size() != 1 || context.value(x).type != ElementType::kFloat) return std::nullopt;
  const auto& linear = std::get<Linear>(layer.ops[0].data);
  const bool known = from.probe && from.assumed && to.probe && to.assumed && !linear.transposed_input;
  if (!known || !changes_channels(*from.probe, *to.probe, linear) ||
      !changes_channels(*from.assumed, *to.assumed, linear)) {
    return std::nullopt;
  }
  std::optional<Unit> unit = close_unit(graph, {flatten, gemm, last}, gemm);
  if (!unit) return std::nullopt;
  layer.ops[0].inputs = {x};
  layer.ops[0].output = y;
  layer.pattern = "gemm";
  return Pattern{std::move(*unit), std::move(layer)};
}

}  // namespace

std::optional<Pattern> match_reshape(const RecogniseContext& context, int last) {
  const Node& node = context.graph.nodes[last];
  if (node.inputs.size() != 2 || node.inputs[1] < 0 || context.value(node.inputs[1]).is_constant) return std::nullopt;
  if (auto layer = match_linear(context, last)) return layer;
  const auto target = target_in_numbers(context, node);
  std::optional<Unit> unit = target ? close_unit(context.graph, {last}, last) : std::nullopt;
  if (!unit || context.value(node.inputs[0]).type != ElementType::kFloat) return std::nullopt;
  Pattern pattern{std::move(*unit), {}};
  pattern.meaning = accept(Reshape{Reshape::Kind::kTarget, *target, false, 1}, {node.inputs[0]}, node.outputs[0]);
  pattern.meaning.pattern = "reshape";
  return pattern;
}

}  // namespace sparsecpu
