// What the kernels of one fused region made in its last run: for who looks for the first one that differs from another
// provider's. Off, a run pays one load.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ops/op.h"

namespace sparsecpu {

struct KeptValue {
  std::string name;
  ElementType type = ElementType::kFloat;
  Shape shape;
  std::vector<std::byte> data;  // row-major
};

class RegionValues {
 public:
  bool on() const { return on_.load(std::memory_order_relaxed); }
  // Turning it on forgets what was kept, and so does turning it off.
  void turn(bool on);
  void keep(std::vector<KeptValue> values);
  std::vector<KeptValue> get() const;

 private:
  std::atomic<bool> on_{false};
  mutable std::mutex mutex_;
  std::vector<KeptValue> values_;
};

}  // namespace sparsecpu
