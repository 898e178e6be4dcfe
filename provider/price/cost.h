// Predicted times, in microseconds on one thread: a node on the CPU provider, the same node here, and what a
// value costs where it crosses from one to the other. Used as ratios: only which side is faster has to be right.
#pragma once
#include <string>
#include <vector>

#include "pack/kernel_times.h"
#include "pack/speeds.h"
#include "price/cpu_layout.h"
#include "price/node_cost.h"
#include "price/weight_counts.h"
#include "recognise/recognise.h"

namespace sparsecpu {

// `recognised`: what the node means; `facts`: one per value.
NodeCost node_cost(const Graph& graph, const Recognised& recognised, const Table<ValueFacts>& facts, int node,
                   Target target, WeightCounts* counts);

// A value that enters (leaves) our layout: the conversion, and the CPU provider's own if it makes (reads) the value in
// another layout than the plain one.
struct EdgeCost {
  double enter_us = 0, leave_us = 0;
};
EdgeCost edge_cost(const Graph& graph, const Table<ValueFacts>& facts, const CpuLayouts& layouts, int value, Isa isa);

}  // namespace sparsecpu
