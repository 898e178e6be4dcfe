// One claimed region as ORT runs it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "abi/ort_abi.h"
#include "lower/region.h"
#include "plugin/region_times.h"
#include "plugin/region_values.h"
#include "plugin/scratch.h"
#include "run/session_threads.h"

namespace sparsecpu {

// Read-only once built, but for the measured times and the kept values: any number of Runs may be in compute() at once.
class FusedNode : public ort::OrtNodeComputeInfo {
 public:
  // `fused` is ORT's node that stands for the region: its inputs and outputs are matched by name.
  FusedNode(const ort::OrtNode* fused, std::unique_ptr<Region> region, std::shared_ptr<SessionThreads> threads,
            std::shared_ptr<ScratchPool> scratch);

  const Region& region() const { return *region_; }
  const std::string& name() const { return name_; }
  const std::shared_ptr<RegionTimes>& times() const { return times_; }
  const std::shared_ptr<RegionValues>& values() const { return values_; }

 private:
  void compute(ort::OrtKernelContext* context) const;
  std::vector<KeptValue> values_of(const Plan& plan, const std::vector<int>& outputs) const;
  // Index of each value's name among those of `infos`, kAbsent if it is not there.
  std::vector<int> slots_of(const std::vector<int>& values, const std::vector<const ort::OrtValueInfo*>& infos) const;

  std::string name_;
  std::unique_ptr<Region> region_;
  std::vector<int> input_slots_, output_slots_;  // kernel context index of each of the region's inputs, outputs
  std::shared_ptr<SessionThreads> threads_;
  std::shared_ptr<ScratchPool> scratch_;
  // The report reads these, also when ORT has released this node.
  std::shared_ptr<RegionTimes> times_;
  std::shared_ptr<RegionValues> values_;
};

}  // namespace sparsecpu
