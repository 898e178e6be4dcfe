// Reshape to sizes that the model computes of other values' shapes: alone, where the sizes can be said in numbers, and
// around a Gemm, which exporters give the tokens of all sequences in one axis.
#include <algorithm>
#include <map>

#include "base/error.h"
#include "recognise/patterns/patterns.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

// What the target says for every size of the model's axes: numbers, 0 for the input's own size of that axis, one -1.
std::optional<std::vector<int64_t>> target_in_numbers(const RecogniseContext& context, const Node& reshape) {
  const ValueFacts &x = context.facts[reshape.inputs[0]], &target = context.facts[reshape.inputs[1]];
  if (!x.proof || !x.assumed || !target.proof_numbers || !target.assumed_numbers) return std::nullopt;
  if (x.proof->size() != x.assumed->size() || target.proof_numbers->size() != target.assumed_numbers->size())
    return std::nullopt;
  const bool zeros_stay = reshape.attribute("allowzero", int64_t{0}) == 1;
  std::vector<int64_t> result;
  for (size_t i = 0; i < target.proof_numbers->size(); ++i) {
    const auto proof = static_cast<int64_t>((*target.proof_numbers)[i]);
    const auto assumed = static_cast<int64_t>((*target.assumed_numbers)[i]);
    const bool copies = i < x.proof->size() && (*x.proof)[i] == proof && (*x.assumed)[i] == assumed;
    if (zeros_stay && proof == 0) return std::nullopt;
    result.push_back(proof == assumed ? proof : copies ? 0 : -1);
  }
  return std::count(result.begin(), result.end(), -1) <= 1 ? std::optional(result) : std::nullopt;
}

// Whether the ops make of the facts' shapes what the nodes make of them. A mask is believed to fit, as in assume.cc.
bool make_shape_of(const RecogniseContext& context, const std::vector<Op>& ops, int y) {
  for (const auto member : {&ValueFacts::proof, &ValueFacts::assumed}) {
    std::map<int, Shape> made;
    for (const Op& op : ops) {
      std::vector<Shape> inputs;
      for (size_t i = 0; i < op.inputs.size(); ++i) {
        const int input = op.inputs[i];
        if (attention_of(op.data) != nullptr && i == 3) {
          inputs.emplace_back();
          continue;
        }
        const auto& known = input < 0 ? std::optional(made[input]) : context.facts[input].*member;
        if (!known) return false;
        inputs.push_back(*known);
      }
      try {
        made[op.output] = output_shape(op, inputs);
      } catch (const Error&) {  // sizes that are only assumed
        return false;
      }
    }
    if (made[y] != context.facts[y].*member) return false;
  }
  return true;
}

// Reshape, Gemm, Reshape as a layer over the tokens of [..., tokens, c]. The first Reshape may be the end of attention,
// which is a part of the pattern then.
std::optional<Match> match_linear(const RecogniseContext& context, int last) {
  const Graph& graph = context.graph;
  const int gemm = made_by(graph, graph.nodes[last].inputs[0], "Gemm");
  const int flatten = gemm < 0 ? -1 : made_by(graph, graph.nodes[gemm].inputs[0], "Reshape");
  if (flatten < 0 || context.value(graph.nodes[flatten].inputs[0]).type != ElementType::kFloat) return std::nullopt;
  const Meaning layer = recognise_gemm(context, graph.nodes[gemm]);
  if (!layer || layer->size() != 1 || layer->front().layer()->transposed_input) return std::nullopt;
  Op linear = layer->front();
  auto& product = std::get<Linear>(linear.data);
  product.zeros_copy = graph.nodes[last].attribute("allowzero", int64_t{0}) == 0;
  product.of_vector = OfVector::kRefused;  // what becomes of it, the last Reshape says
  linear.node = gemm;
  linear.output = graph.nodes[last].outputs[0];
  linear.inputs = {graph.nodes[flatten].inputs[0]};
  Ops ops;
  std::string pattern = "gemm";
  std::vector<int> nodes{flatten, gemm, last};
  if (auto before = match_attention(context, flatten); before && before->meaning) {
    ops = std::move(*before->meaning);
    if (ops.back().work() != Work::kRename) return std::nullopt;
    linear.inputs = ops.back().inputs;
    ops.pop_back();
    pattern = before->pattern + ", gemm";
    nodes.insert(nodes.end(), before->unit.nodes.begin(), before->unit.nodes.end());
  }
  ops.push_back(std::move(linear));
  if (!make_shape_of(context, ops, graph.nodes[last].outputs[0])) return std::nullopt;
  std::optional<Unit> unit = close_unit(graph, std::move(nodes), gemm, ops);
  return unit ? std::optional(Match{std::move(*unit), std::move(pattern), std::move(ops)}) : std::nullopt;
}

}  // namespace

std::optional<Match> match_reshape(const RecogniseContext& context, int last) {
  const Node& node = context.graph.nodes[last];
  if (node.inputs.size() != 2 || node.inputs[1] < 0 || context.value(node.inputs[1]).is_constant) return std::nullopt;
  if (auto layer = match_linear(context, last)) return layer;
  const auto target = target_in_numbers(context, node);
  if (!target || context.value(node.inputs[0]).type != ElementType::kFloat) return std::nullopt;
  Meaning meaning = accept(Reshape{Reshape::Kind::kTarget, *target, false, 1}, {node.inputs[0]}, node.outputs[0]);
  std::optional<Unit> unit = close_unit(context.graph, {last}, last, *meaning);
  return unit ? std::optional(Match{std::move(*unit), "reshape", std::move(meaning)}) : std::nullopt;
}

}  // namespace sparsecpu
