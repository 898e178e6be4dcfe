#include "lower/plan_cache.h"

#include <limits>
#include <new>
#include <utility>

namespace sparsecpu {
namespace {

constexpr size_t kMaxPlans = 1024;
constexpr size_t kMaxBytes = 64u << 20;

uint64_t hash_of(const std::vector<Shape>& shapes, int workers) {
  uint64_t hash = static_cast<uint64_t>(workers);
  const auto add = [&](uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  };
  for (const Shape& shape : shapes) {
    add(shape.size());
    for (int64_t d : shape) add(static_cast<uint64_t>(d));
  }
  return hash;
}

}  // namespace

struct PlanCache::Slot {
  static constexpr int kWriter = -1;

  bool enter_to_read() {
    int readers = users.load(std::memory_order_relaxed);
    while (readers != kWriter) {
      if (users.compare_exchange_weak(readers, readers + 1, std::memory_order_acquire)) return true;
    }
    return false;
  }
  void leave_as_reader() { users.fetch_sub(1, std::memory_order_release); }
  bool enter_to_write() {
    int nobody = 0;
    return users.compare_exchange_strong(nobody, kWriter, std::memory_order_acquire);
  }
  void leave_as_writer() { users.store(0, std::memory_order_release); }

  Slot* next = nullptr;
  std::atomic<int> users{0};         // readers, or kWriter
  std::atomic<uint64_t> used{0};     // when the Plan was last; 0: there is none
  std::atomic<uint64_t> hash{0};     // of what it is for
  std::shared_ptr<const Plan> plan;  // touched by users only
};

PlanCache::~PlanCache() {
  for (std::atomic<Slot*>& bucket : buckets_) {
    for (Slot* slot = bucket.load(std::memory_order_acquire); slot != nullptr;) delete std::exchange(slot, slot->next);
  }
}

std::shared_ptr<const Plan> PlanCache::find(const std::vector<Shape>& input_shapes, int workers) {
  const uint64_t hash = hash_of(input_shapes, workers);
  for (Slot* slot = buckets_[hash % kBuckets].load(std::memory_order_acquire); slot != nullptr; slot = slot->next) {
    if (slot->hash.load(std::memory_order_relaxed) != hash || !slot->enter_to_read()) continue;
    std::shared_ptr<const Plan> plan = slot->plan;
    if (plan != nullptr) slot->used.store(now(), std::memory_order_relaxed);
    slot->leave_as_reader();
    if (plan != nullptr && plan->workers == workers && plan->input_shapes == input_shapes) return plan;
  }
  return nullptr;
}

void PlanCache::keep(const std::shared_ptr<const Plan>& plan) noexcept {
  if (find(plan->input_shapes, plan->workers) != nullptr) return;  // another caller was faster
  const size_t bytes = plan->plan_bytes();
  while (plans_ > 0 && (plans_ >= kMaxPlans || bytes_ + bytes > kMaxBytes)) {
    if (!drop_oldest()) return;
  }
  const uint64_t hash = hash_of(plan->input_shapes, plan->workers);
  std::atomic<Slot*>& bucket = buckets_[hash % kBuckets];
  for (Slot* slot = bucket.load(std::memory_order_acquire); slot != nullptr; slot = slot->next) {
    if (slot->used.load(std::memory_order_relaxed) == 0 && fill(slot, hash, plan)) return;
  }
  auto* slot = new (std::nothrow) Slot;
  if (slot == nullptr) return;
  fill(slot, hash, plan);
  slot->next = bucket.load(std::memory_order_relaxed);
  while (!bucket.compare_exchange_weak(slot->next, slot, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

bool PlanCache::fill(Slot* slot, uint64_t hash, const std::shared_ptr<const Plan>& plan) {
  if (!slot->enter_to_write()) return false;
  const bool empty = slot->plan == nullptr;
  if (empty) {
    slot->plan = plan;
    slot->hash.store(hash, std::memory_order_relaxed);
    slot->used.store(now(), std::memory_order_relaxed);
    plans_ += 1;
    bytes_ += plan->plan_bytes();
  }
  slot->leave_as_writer();
  return empty;
}

bool PlanCache::drop_oldest() {
  Slot* oldest = nullptr;
  uint64_t used = std::numeric_limits<uint64_t>::max();
  for (std::atomic<Slot*>& bucket : buckets_) {
    for (Slot* slot = bucket.load(std::memory_order_acquire); slot != nullptr; slot = slot->next) {
      const uint64_t at = slot->used.load(std::memory_order_relaxed);
      if (at == 0 || at >= used) continue;
      oldest = slot;
      used = at;
    }
  }
  if (oldest == nullptr || !oldest->enter_to_write()) return false;
  const std::shared_ptr<const Plan> plan = std::exchange(oldest->plan, nullptr);
  oldest->used.store(0, std::memory_order_relaxed);
  if (plan != nullptr) {
    plans_ -= 1;
    bytes_ -= plan->plan_bytes();
  }
  oldest->leave_as_writer();
  return true;  // the Plan goes when nobody runs it
}

}  // namespace sparsecpu
