// What recognisers see: a graph, and what is known of its values before anything runs.
#pragma once
#include <optional>

#include "facts/facts.h"

namespace sparsecpu {

struct RecogniseContext {
  const Graph& graph;
  const Table<ValueFacts>& facts;  // one per value

  const Value& value(int index) const { return graph.values[index]; }
  bool has_input(const Node& node, size_t i) const { return node.inputs[i] >= 0; }
  const Value* input(const Node& node, size_t i) const { return has_input(node, i) ? &value(node.inputs[i]) : nullptr; }
  bool is_activation(int index) const { return index >= 0 && !value(index).is_constant; }
  // Rank of a value, or -1.
  int rank(int index) const;
  // Size of one axis if it is believed to be the same in every run, else -1.
  int64_t static_dim(int index, int axis) const;
  // The same if it is known, whatever is declared.
  int64_t proven_dim(int index, int axis) const;
  // Of every axis; empty where the rank is unknown.
  Shape proven_dims(int index) const;
  // The set `proof` of a value's sizes (facts.h), or null.
  const Shape* proof(int index) const { return facts[index].proof ? &*facts[index].proof : nullptr; }
  // The only number of a value, constant or computed, if it is the same in every run.
  std::optional<float> static_number(int index) const;
  // The same in arithmetic with `other`: a number of a higher rank would give the result its rank.
  std::optional<float> number_beside(int index, int other) const;
};

// Equal in every run, as far as is known.
bool same_dim(const RecogniseContext&, int a, int axis_a, int b, int axis_b);
bool same_shape(const RecogniseContext&, int a, int b);

// The node that makes `value`, as an index, if it is this operator (operators.h), else -1.
int made_by(const Graph& graph, int value, const char* op);
// The node that makes a value, or null; the only node that uses it, as an index, or -1.
const Node* producer_of(const Graph& graph, int value);
int sole_consumer(const Graph& graph, int value);
// Add or Mul of an activation and one static number: the other input in `activation`, the number; else nothing.
std::optional<float> with_number(const RecogniseContext& context, const Node& node, int* activation);

}  // namespace sparsecpu
