#include "lower/plan_cache.h"

namespace sparsecpu {
namespace {

constexpr size_t kMaxPlans = 32;
constexpr size_t kMaxBytes = 64u << 20;

}  // namespace

std::shared_ptr<const Plan> PlanCache::get(const std::vector<Shape>& input_shapes,
                                           const std::function<std::shared_ptr<const Plan>()>& make) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->shapes != input_shapes) continue;
    entries_.splice(entries_.begin(), entries_, it);
    return it->plan;
  }
  std::shared_ptr<const Plan> plan = make();
  entries_.push_front({input_shapes, plan});
  bytes_ += plan->plan_bytes();
  trim();
  return plan;
}

void PlanCache::trim() {
  while (entries_.size() > kMaxPlans || (bytes_ > kMaxBytes && entries_.size() > 1)) {
    bytes_ -= entries_.back().plan->plan_bytes();
    entries_.pop_back();
  }
}

}  // namespace sparsecpu
