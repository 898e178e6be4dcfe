// The Plans of a region by input shapes and number of workers: bounded, the least recently used goes first.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "ops/op.h"
#include "run/plan.h"

namespace sparsecpu {

// Without locks: one that another thread held during fork() would stay locked in the child for ever. A slot is read by
// many or written by one; who finds it otherwise does without it, at worst plans what is there already.
class PlanCache {
 public:
  PlanCache() = default;
  PlanCache(const PlanCache&) = delete;
  PlanCache& operator=(const PlanCache&) = delete;
  ~PlanCache();

  // Null if there is none.
  std::shared_ptr<const Plan> find(const std::vector<Shape>& input_shapes, int workers);
  // Unless the cache is busy or there is no memory for it.
  void keep(const std::shared_ptr<const Plan>& plan) noexcept;

 private:
  struct Slot;
  static constexpr size_t kBuckets = 64;  // of slots, by what their Plans are for

  uint64_t now() { return 1 + clock_.fetch_add(1, std::memory_order_relaxed); }
  bool fill(Slot* slot, uint64_t hash, const std::shared_ptr<const Plan>& plan);  // false: it is not empty, or busy
  bool drop_oldest();                                                             // false: it is busy

  std::atomic<Slot*> buckets_[kBuckets] = {};  // lists that only grow: a slot that is emptied is used again
  std::atomic<uint64_t> clock_{0};
  std::atomic<size_t> plans_{0}, bytes_{0};
};

}  // namespace sparsecpu
