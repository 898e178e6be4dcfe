// Which stages become one step (run/chain_steps.h): decided from the forms, before anything is emitted.
#pragma once
#include <optional>
#include <vector>

#include "lower/placement.h"
#include "lower/workers.h"

namespace sparsecpu {

// kPositions: a depthwise layer, then a pointwise one on the same positions. Generated code, then a depthwise layer on
// the same channels: kChannels; with a pointwise layer behind it: kParts.
enum class ChainKind { kPositions, kChannels, kParts };

struct Chain {
  ChainKind kind = ChainKind::kPositions;
  size_t first = 0;                // stage
  int value = kNone;               // between the first two stages: kept in part, in the worker's scratch memory
  int second = kNone;              // between the second and the third: kept whole, of the worker's own positions
  int64_t units = 0, vectors = 0;  // of the first stage at once; of positions' chains 0

  size_t length() const { return kind == ChainKind::kParts ? 3 : 2; }
};

class Chains {
 public:
  // Of the stages before `end`.
  Chains(const std::vector<Stage>& stages, size_t end, const Placement& placement, Workers workers)
      : stages_(stages), end_(end), placement_(placement), workers_(workers) {}

  // The chain that begins with this stage.
  std::optional<Chain> from(size_t stage) const;

 private:
  bool feeds_only_next(size_t stage) const;
  std::optional<ChainKind> kind_of(size_t stage) const;
  std::optional<ChainKind> kind_of_channels(size_t stage) const;
  int64_t unit_bytes(size_t stage) const;
  int64_t part_rows(size_t stage) const;

  const std::vector<Stage>& stages_;
  const size_t end_;
  const Placement& placement_;
  const Workers workers_;
};

}  // namespace sparsecpu
