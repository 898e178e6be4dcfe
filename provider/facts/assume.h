// Concrete sizes for every value, as far as they can be known before a run: see ValueFacts.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "facts/facts.h"

namespace sparsecpu {

// Sizes of the axes that the model leaves open and no option fixes.
struct OpenSizes {
  int64_t batch = 1, pixels = 224, tokens = 128;
};
// Which kinds of them there are. Pixels are an image's where it has at most kImageChannels channels or nobody knows how
// many, else a feature map's, which may be much smaller.
struct OpenAxes {
  bool batch = false, image = false, features = false, tokens = false;
};
constexpr int64_t kImageChannels = 4;
constexpr int64_t kLongestImage = 4;  // an open side is at most so many times as long as the one that is fixed

class AssumedShapes {
 public:
  // given: sizes that a person names, by symbol or as value[axis].
  AssumedShapes(const Graph& graph, const SymbolSizes& given, Table<ValueFacts>* facts, const OpenSizes& sizes = {});

  // Fills the facts of a value from its declared shape, unless they are known.
  void ensure(int value);
  // Fills the facts of the node's outputs, by the ops that it means if there are any. A reason: these cannot work.
  Check propagate(const Node& node, const std::vector<Op>& ops);

  const SymbolSizes& symbols() const { return assumed_; }
  const OpenAxes& open() const { return open_; }

 private:
  int64_t open_size(const Value& value, size_t axis);
  int64_t unknown_size();  // a probe of its own
  // The sizes of dimension `axis` of a value: first assumed, then probe.
  std::pair<int64_t, int64_t> sizes(const Value& value, size_t axis);
  void declare(int value);
  void prove_channels(const std::vector<Op>& ops);
  Check run_ops(const std::vector<Op>& ops);
  void infer_outputs(const Node& node);
  std::optional<Shape> proof_beside_operand(const Node& node, const Shape& probe) const;
  void set_axes(const std::vector<Op>& ops);

  const Graph& graph_;
  const SymbolSizes& given_;
  Table<ValueFacts>& facts_;
  const OpenSizes open_sizes_;
  SymbolSizes assumed_, probe_;
  OpenAxes open_;
  int64_t unknown_ = 0;  // dimensions without a symbol so far
};

}  // namespace sparsecpu
