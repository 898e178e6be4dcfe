// What is known about values before anything runs.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ops/op.h"

namespace sparsecpu {

using SymbolSizes = std::map<std::string, int64_t>;  // of symbolic axes

// As three sets of concrete sizes: `assumed` for the prediction,
// `probe` with a different size for every symbol and every unknown dimension, and `proof`, which is as `probe` but for
// what a file declares of values that nobody checks: those that nodes make, and the inputs of a body of If or Loop. A
// size that is the same in `assumed` and `probe` is believed to be so in every run; in `assumed` and `proof`, it is.
// What a decision that cannot be taken back at run time rests on is read from `proof`.
struct ValueFacts {
  std::optional<Shape> assumed, probe, proof;
  std::optional<std::vector<double>> assumed_numbers, probe_numbers, proof_numbers;  // of a small tensor (infer.h)
  std::optional<Axes> axes;  // of the op that made it; unset: unknown, or rank <= 2, where both mean the same
  bool operator==(const ValueFacts&) const = default;
};

}  // namespace sparsecpu
