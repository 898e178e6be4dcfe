// Decides which nodes of a graph run here: recognise (node -> Ops or a reason), price (here against the CPU
// provider), group (convex, acyclic regions), trim what loses.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/isa.h"
#include "graph/graph.h"
#include "ops/op.h"

namespace sparsecpu {

struct ClaimOptions {
  Isa isa = Isa::kScalar;
  bool jit = false;                       // code can be generated, and no option forbids it
  std::optional<double> min_sparsity;     // unset: by predicted time. 0 claims whatever is supported
  bool neighbours = true;                 // false: the named ops alone, one group each
  std::map<std::string, int64_t> assume;  // symbolic axis -> size; others: batch 1, 224 pixels, 128 tokens
};

struct NodeDecision {
  int region = -1;                 // index into ClaimResult::regions, -1: left to other providers
  int unit = -1;                   // the node with the figures; its own index unless they are computed as one op
  std::string pattern;             // "conv", "matmul", "relu", ...; "" if not recognised
  std::string reason;              // why it is or is not claimed; a sentence a person can act on
  double sparsity = -1;            // zeros in the constant weights, 0..1; -1: has none
  double group_density = -1;       // quantized weights: groups of 4 input channels with a nonzero, 0..1
  int64_t dense_bytes = 0;         // of the constant weights
  double cpu_us = 0, here_us = 0;  // predicted, one thread at the assumed shape
  double multiply_adds = 0;        // of a matrix operator at the assumed shape, zero weights included
  // Of a layer: from this share of zeros on it is faster here by itself (quantized: share of the groups of 4 input
  // channels without a nonzero); -1: unknown, or zeros do not help.
  double needed_sparsity = -1;
  std::string layer;  // "a 3x3 convolution at 56x56"
};

struct ClaimResult {
  std::vector<std::vector<int>> regions;   // node indices, topological order
  std::vector<RegionOps> ops;              // of each region
  std::vector<NodeDecision> decisions;     // one per node of the graph
  std::map<std::string, int64_t> assumed;  // symbolic axis -> size that the prediction used
};

// Nodes that have been found impossible to run here although they are recognised, and why.
using Refusals = std::map<int, std::string>;

ClaimResult claim(const Graph& graph, const ClaimOptions& options, const Refusals& refused = {});

}  // namespace sparsecpu
