// The Plans of a region by input shapes: bounded, the least recently used goes first.
#pragma once
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "claim/op.h"
#include "run/plan.h"

namespace sparsecpu {

class PlanCache {
 public:
  // The Plan for these input shapes; made by one thread while others wait.
  std::shared_ptr<const Plan> get(const std::vector<Shape>& input_shapes,
                                  const std::function<std::shared_ptr<const Plan>()>& make);

 private:
  struct Entry {
    std::vector<Shape> shapes;
    std::shared_ptr<const Plan> plan;
  };
  void trim();

  std::mutex mutex_;
  std::list<Entry> entries_;  // most recently used first
  size_t bytes_ = 0;
};

}  // namespace sparsecpu
