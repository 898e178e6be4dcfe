// Concrete sizes for every value, as far as they can be known before a run: see ValueFacts.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "claim/recognise.h"

namespace sparsecpu {

class AssumedShapes {
 public:
  AssumedShapes(const Graph& graph, const ClaimOptions& options, std::vector<ValueFacts>* facts);

  // Fills the facts of a value from its declared shape, unless they are known.
  void ensure(int value);
  // Fills the facts of the node's outputs. Returns why the node cannot work, or "".
  std::string propagate(const Node& node, const Recognised& recognised);

  const std::map<std::string, int64_t>& symbols() const { return assumed_; }

 private:
  // The sizes of dimension `axis` of a value: first assumed, then probe.
  std::pair<int64_t, int64_t> sizes(const Value& value, size_t axis);
  std::string run_ops(const Recognised& recognised);
  void infer_outputs(const Node& node);
  void set_axes(const Recognised& recognised);

  const Graph& graph_;
  const ClaimOptions& options_;
  std::vector<ValueFacts>& facts_;
  std::map<std::string, int64_t> assumed_, probe_;
  int64_t unknown_ = 0;  // dimensions without a symbol so far
};

}  // namespace sparsecpu
