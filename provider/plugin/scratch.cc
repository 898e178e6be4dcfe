#include "plugin/scratch.h"

#include <algorithm>
#include <memory>

namespace sparsecpu {

ScratchPool::~ScratchPool() {
  for (std::atomic<AlignedBuffer*>& slot : slots_) delete slot.load();
}

ScratchPool::Lease::Lease(ScratchPool* pool, size_t bytes) : pool_(pool), buffer_(nullptr) {
  bytes = std::max(bytes, kCacheLine);
  for (std::atomic<AlignedBuffer*>& slot : pool->slots_) {
    std::unique_ptr<AlignedBuffer> buffer(slot.exchange(nullptr, std::memory_order_acq_rel));
    if (buffer == nullptr) continue;
    if (buffer->bytes() < bytes) {
      *buffer = AlignedBuffer();  // freed before the larger one is allocated
      *buffer = AlignedBuffer(bytes);
    }
    buffer_ = buffer.release();
    return;
  }
  buffer_ = new AlignedBuffer(bytes);
}

ScratchPool::Lease::~Lease() {
  for (std::atomic<AlignedBuffer*>& slot : pool_->slots_) {
    AlignedBuffer* empty = nullptr;
    if (slot.compare_exchange_strong(empty, buffer_, std::memory_order_acq_rel)) return;
  }
  delete buffer_;
}

}  // namespace sparsecpu
