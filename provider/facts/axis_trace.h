// Which axes of a source tensor the axes of a value run over after Reshape, Transpose and the selection of one index:
// splitting heads, transposing keys, merging heads and a fused QKV are then comparisons of lists.
#pragma once
#include <cstdint>
#include <vector>

#include "ops/op.h"

namespace sparsecpu {

// `size` steps along a source axis, `stride` indices apart.
struct Factor {
  int source = 0;
  int64_t stride = 1, size = 1;
  bool operator==(const Factor&) const = default;
};
using Factors = std::vector<Factor>;  // slowest first; one axis of a value

// Without factors of size 1, adjacent ones joined: equal lists visit equal elements in equal order.
Factors simplified(const Factors& factors);

class AxisTrace {
 public:
  explicit AxisTrace(std::vector<Factors> axes) : axes_(std::move(axes)) {}
  // Axis i of the source is axis i of the value.
  static AxisTrace of(const Shape& source);

  // Each returns false where the result has no such description.
  bool reshape(const Shape& to);
  bool transpose(const std::vector<int64_t>& perm);
  // Fixes `axis` at `index` and drops it.
  bool select(int64_t axis, int64_t index);

  const std::vector<Factors>& axes() const { return axes_; }
  // What select() has added up: along source axis `source`, in indices.
  int64_t offset(int source) const { return source < static_cast<int>(offsets_.size()) ? offsets_[source] : 0; }

 private:
  std::vector<Factors> axes_;
  std::vector<int64_t> offsets_;
};

}  // namespace sparsecpu
