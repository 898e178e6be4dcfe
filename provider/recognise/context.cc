#include "recognise/context.h"

namespace sparsecpu {
namespace {

// Size `axis` of a list of sizes, -1: it has none.
int64_t size_of(const std::vector<int64_t>& dims, int axis) {
  return axis >= 0 && axis < static_cast<int>(dims.size()) ? dims[static_cast<size_t>(axis)] : -1;
}

// The sizes of an axis in both sets of facts; nothing if one of them has no such axis.
std::optional<std::pair<int64_t, int64_t>> believed_sizes(const ValueFacts& fact, int axis) {
  if (!fact.assumed || !fact.probe || size_of(*fact.assumed, axis) < 0 || size_of(*fact.probe, axis) < 0) return {};
  return std::pair(size_of(*fact.assumed, axis), size_of(*fact.probe, axis));
}

}  // namespace

int RecogniseContext::rank(int index) const {
  if (const Value& v = value(index); v.is_constant)
    return static_cast<int>(v.constant.dims.size());
  else if (v.has_shape)
    return static_cast<int>(v.dims.size());
  return facts[index].probe ? static_cast<int>(facts[index].probe->size()) : -1;
}

int64_t RecogniseContext::static_dim(int index, int axis) const {
  const Value& v = value(index);
  if (v.has_shape && size_of(v.dims, axis) >= 0) return size_of(v.dims, axis);
  // No symbol has the same size in both sets, so a size that agrees depends on none.
  const auto sizes = believed_sizes(facts[index], axis);
  return sizes && sizes->first == sizes->second ? sizes->first : -1;
}

int64_t RecogniseContext::proven_dim(int index, int axis) const {
  const ValueFacts& fact = facts[index];
  if (!fact.assumed || !fact.proof || fact.assumed->size() != fact.proof->size()) return -1;
  const int64_t size = size_of(*fact.proof, axis);
  return size == size_of(*fact.assumed, axis) ? size : -1;
}

Shape RecogniseContext::proven_dims(int index) const {
  Shape shape;
  for (int axis = 0; axis < rank(index); ++axis) shape.push_back(proven_dim(index, axis));
  return shape;
}

std::optional<float> RecogniseContext::static_number(int index) const {
  const ValueFacts& fact = facts[index];
  const bool known = fact.proof_numbers && fact.proof_numbers->size() == 1;
  if (!known || fact.assumed_numbers != fact.proof_numbers) return std::nullopt;
  return static_cast<float>(fact.proof_numbers->front());
}

std::optional<float> RecogniseContext::number_beside(int index, int other) const {
  return rank(index) <= rank(other) ? static_number(index) : std::nullopt;
}

bool same_dim(const RecogniseContext& context, int a, int axis_a, int b, int axis_b) {
  const int64_t static_a = context.static_dim(a, axis_a), static_b = context.static_dim(b, axis_b);
  if (static_a >= 0 && static_b >= 0) return static_a == static_b;
  const auto sizes_a = believed_sizes(context.facts[a], axis_a), sizes_b = believed_sizes(context.facts[b], axis_b);
  return sizes_a && sizes_a == sizes_b;
}

bool same_shape(const RecogniseContext& context, int a, int b) {
  if (a == b) return true;
  const int rank = context.rank(a);
  if (rank < 0 || rank != context.rank(b)) return false;
  for (int axis = 0; axis < rank; ++axis) {
    if (!same_dim(context, a, axis, b, axis)) return false;
  }
  return true;
}

int made_by(const Graph& graph, int value, const char* op) {
  const int node = graph.producer(value);
  return graph.nodes[node].op == op ? node : -1;
}

std::optional<float> with_number(const RecogniseContext& context, const Node& node, int* activation) {
  if (node.inputs.size() != 2 || node.inputs[0] < 0 || node.inputs[1] < 0) return std::nullopt;
  for (const int number : {1, 0}) {
    const auto factor = context.number_beside(node.inputs[number], node.inputs[1 - number]);
    if (!factor || (number == 0 && node.op == "Div")) continue;
    *activation = node.inputs[1 - number];
    return factor;
  }
  return std::nullopt;
}

const Node* producer_of(const Graph& graph, int value) {
  const int producer = graph.producer(value);
  return producer >= 0 ? &graph.nodes[producer] : nullptr;
}

int sole_consumer(const Graph& graph, int value) {
  if (value < 0) return -1;
  const Value& v = graph.values[value];
  return v.consumers.size() == 1 && !v.is_graph_output ? v.consumers[0] : -1;
}

}  // namespace sparsecpu
