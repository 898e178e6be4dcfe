#include "lower/weight_store.h"

#include <algorithm>
#include <mutex>

#include "base/fork.h"

namespace sparsecpu {
namespace {

std::mutex mutex;
const int waits_at_fork = wait_at_fork<&mutex>();

}  // namespace

WeightStore& WeightStore::shared() {
  static WeightStore& store = *new WeightStore;  // outlives the sessions that end with the process
  return store;
}

namespace {

// Made before there are threads: the making of a static is guarded by a lock, too.
[[maybe_unused]] const WeightStore& made_at_load = WeightStore::shared();

}  // namespace

std::shared_ptr<const LayerPack> WeightStore::find(const Digest& content) {
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = held_.find(content);
  return found == held_.end() ? nullptr : found->second.lock();
}

std::shared_ptr<const LayerPack> WeightStore::add(const Digest& content, std::shared_ptr<const LayerPack> packed) {
  const std::lock_guard<std::mutex> lock(mutex);
  std::weak_ptr<const LayerPack>& held = held_[content];
  if (auto there = held.lock()) return there;
  held = packed;
  if (held_.size() > 2 * swept_ + 64) {
    std::erase_if(held_, [](const auto& entry) { return entry.second.expired(); });
    swept_ = held_.size();
  }
  return packed;
}

}  // namespace sparsecpu
