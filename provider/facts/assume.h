// Concrete sizes for every value, as far as they can be known before a run: see ValueFacts.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "recognise/recognise.h"

namespace sparsecpu {

// Sizes of the axes that the model leaves open and no option fixes.
struct OpenSizes {
  int64_t batch = 1, pixels = 224, tokens = 128;
};
// Which kinds of them there are.
struct OpenAxes {
  bool batch = false, pixels = false, tokens = false;
};

class AssumedShapes {
 public:
  AssumedShapes(const Graph& graph, const ClaimOptions& options, Table<ValueFacts>* facts, const OpenSizes& sizes = {});

  // Fills the facts of a value from its declared shape, unless they are known.
  void ensure(int value);
  // Fills the facts of the node's outputs. Returns why the node cannot work, or "".
  std::string propagate(const Node& node, const Recognised& recognised);

  const std::map<std::string, int64_t>& symbols() const { return assumed_; }
  const OpenAxes& open() const { return open_; }

 private:
  int64_t open_size(size_t rank, size_t axis);
  int64_t unknown_size();  // a probe of its own
  // The sizes of dimension `axis` of a value: first assumed, then probe.
  std::pair<int64_t, int64_t> sizes(const Value& value, size_t axis);
  void declare(int value);
  void prove_channels(const Recognised& recognised);
  std::string run_ops(const Recognised& recognised);
  void infer_outputs(const Node& node);
  std::optional<Shape> proof_beside_operand(const Node& node, const Shape& probe) const;
  void set_axes(const Recognised& recognised);

  const Graph& graph_;
  const ClaimOptions& options_;
  Table<ValueFacts>& facts_;
  const OpenSizes open_sizes_;
  std::map<std::string, int64_t> assumed_, probe_;
  OpenAxes open_;
  int64_t unknown_ = 0;  // dimensions without a symbol so far
};

// The facts of a recognised graph with other sizes of its open axes, which are added to `open`.
Table<ValueFacts> facts_with(const Graph& graph, const Table<Recognised>& nodes, const ClaimOptions& options,
                             const OpenSizes& sizes, OpenAxes* open);

}  // namespace sparsecpu
