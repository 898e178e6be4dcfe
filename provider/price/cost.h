// Predicted times, in microseconds on one thread: a node on the CPU provider, the same node here, and what a
// value costs where it crosses from one to the other. Used as ratios: only which side is faster has to be right.
#pragma once
#include <string>
#include <vector>

#include "pack/kernel_times.h"
#include "pack/speeds.h"
#include "price/cpu_layout.h"
#include "price/weight_counts.h"
#include "recognise/recognise.h"

namespace sparsecpu {

// What a node takes: of all the Ops that it means together.
struct NodeCost {
  bool known = false;  // false: no shapes, nothing can be said
  bool finite = true;  // its weights
  double cpu_us = 0;   // on its own
  double here_us = 0;  // with its first input in our layout
  // Elementwise nodes run inside the kernel of the node before them if both are on the same side.
  int before = -1;  // that node
  bool fuses_on_cpu = false, fuses_here = false;
  double fused_cpu_us = 0, fused_here_us = 0;
  LayoutLoss layout;  // on the CPU provider
  bool linear = false;
  bool sparse_wins = false;  // the sparse kernel beats the CPU provider, edges aside
  double sparsity = -1;
  int64_t dense_bytes = 0;
  double multiply_adds = 0;       // of linear layers and attention
  double needed_sparsity = 1;     // from here on sparse_wins
  double group_density = -1;      // quantized: share of the groups of 4 input channels with a nonzero weight
  double needed_density = 0;      // up to here sparse_wins
  std::string kernel, situation;  // "sparse"; "a 3x3 convolution at 56x56"
};
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
