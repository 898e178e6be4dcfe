#include "plugin/region_values.h"

#include <utility>

namespace sparsecpu {

void RegionValues::turn(bool on) {
  const std::lock_guard<std::mutex> lock(mutex_);
  values_.clear();
  on_.store(on, std::memory_order_relaxed);
}

void RegionValues::keep(std::vector<KeptValue> values) {
  const std::lock_guard<std::mutex> lock(mutex_);
  values_ = std::move(values);
}

std::vector<KeptValue> RegionValues::get() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return values_;
}

}  // namespace sparsecpu
