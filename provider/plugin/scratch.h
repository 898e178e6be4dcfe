// Working memory of runs: kept between runs, bounded, taken without a lock.
#pragma once
#include <atomic>
#include <cstddef>

#include "base/memory.h"

namespace sparsecpu {

// One pool per session: its fused nodes run one after another within a Run, so a buffer serves them all and
// stays in the cache. Slots are exchanged atomically: a lock held by another thread during fork() would stay
// locked in the child for ever.
class ScratchPool {
 public:
  ScratchPool() = default;
  ScratchPool(const ScratchPool&) = delete;
  ScratchPool& operator=(const ScratchPool&) = delete;
  ~ScratchPool();

  // Holds at least `bytes` until destroyed; throws std::bad_alloc.
  class Lease {
   public:
    Lease(ScratchPool* pool, size_t bytes);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    std::byte* data() const { return buffer_->data(); }

   private:
    ScratchPool* pool_;
    AlignedBuffer* buffer_;
  };

 private:
  // More Runs at once than this allocate and free their own.
  static constexpr int kSlots = 8;
  std::atomic<AlignedBuffer*> slots_[kSlots] = {};
};

}  // namespace sparsecpu
