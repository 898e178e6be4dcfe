// Predicted times, in microseconds on one thread: a node on the CPU provider, the same node here, and what a
// value costs where it crosses from one to the other. Used as ratios: only which side is faster has to be right.
#pragma once
#include <string>
#include <vector>

#include "claim/claim.h"
#include "claim/recognise.h"

namespace sparsecpu {

// Speeds of one core at one level. GFLOP/s and GB/s, that is, operations and bytes per nanosecond.
struct MachineSpeed {
  double cpu_flops;     // the CPU provider's dense kernels, large layers
  double sparse_flops;  // our SpMM on the nonzeros, no lane wasted
  double dense_flops;   // our dense kernel, no lane wasted
  double depthwise_cpu_flops, depthwise_flops;
  double cache_bytes;    // elementwise passes, read and written bytes alike
  double weight_bytes;   // weights streamed once, for a few rows
  double convert_bytes;  // row-major <-> lanes, and NCHW <-> NCHWc
  double token_rate;     // sparse_flops on tokens as a share: K is long and its chunks spill
};
const MachineSpeed& machine_speed(Isa isa);

// Of one node, all its Ops together.
struct NodeCost {
  bool known = false;  // false: no shapes, nothing can be said
  double cpu_us = 0;   // on its own
  double here_us = 0;  // with its first input in our layout
  // Elementwise nodes run inside the kernel of the node before them if both are on the same side.
  int before = -1;  // that node
  bool fuses_on_cpu = false, fuses_here = false;
  double fused_cpu_us = 0, fused_here_us = 0;
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
NodeCost node_cost(const Graph& graph, const RecognisedGraph& recognised, int node, Isa isa);

// A value that enters (leaves) our layout: the conversion, and the CPU provider's own if it keeps the value in
// blocks of channels (NCHWc) between its convolutions.
struct EdgeCost {
  double enter_us = 0, leave_us = 0;
};
EdgeCost edge_cost(const Graph& graph, const RecognisedGraph& recognised, int value, Isa isa);

// Fixed cost of one fused node: the call, one parallel section, waking the workers.
constexpr double kRegionUs = 6.0;
// And of one conversion at its edge: a step.
constexpr double kEdgeUs = 2.0;

}  // namespace sparsecpu
