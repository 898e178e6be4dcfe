// What GetCapability has claimed, packed and planned, kept for Compile.
#pragma once
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "claim/claim.h"
#include "lower/region.h"

namespace sparsecpu {

// A claim all of whose regions are lowered: nothing that is claimed can fail afterwards.
struct LoweredClaim {
  ClaimResult result;
  std::vector<std::unique_ptr<Region>> regions;  // of result.regions, in order
  int64_t packed = 0;                            // layers whose weights were packed for it, each content once
};
// Claims without the nodes that cannot be packed or planned; the decisions say why.
LoweredClaim claim_lowered(const Graph& graph, const ClaimOptions& options);

// Regions by the names of all values that their nodes make: a graph makes each once, and ONNX Runtime keeps them when
// it fuses nodes. Two branches of an If may use the same names: the first that has not been compiled yet is meant. A
// body in a model with functions is shown twice, with nodes duplicated in between, which may give a region other inputs
// and read of it what nobody read before: the region that is meant reads and gives what the fused node does. ONNX
// Runtime compiles all that it takes in one call, or, of a file in its own format, each fused node in one.
class Ledger {
 public:
  using Names = std::set<std::string>;
  struct Entry {
    Names values;
    size_t number = 0;  // of the region within the session, as the report counts
    std::unique_ptr<Region> region;
  };

  struct FusedNode {
    std::string name;
    Names values, inputs, outputs;  // that its nodes make, that it reads, that it gives
  };

  void add(Entry entry) { entries_.push_back(std::move(entry)); }
  // Throws Error naming the fused node if no entry is meant by it.
  Entry take(const FusedNode& node);
  // Without the regions of these numbers.
  void erase_if(const std::function<bool(size_t number)>& gone);

 private:
  std::vector<Entry> entries_;
};

}  // namespace sparsecpu
