#include "lower/weight_store.h"

#include <algorithm>

namespace sparsecpu {

WeightStore& WeightStore::shared() {
  static WeightStore& store = *new WeightStore;  // outlives the sessions that end with the process
  return store;
}

std::shared_ptr<const LayerPack> WeightStore::find(const Digest& content) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = held_.find(content);
  return found == held_.end() ? nullptr : found->second.lock();
}

std::shared_ptr<const LayerPack> WeightStore::add(const Digest& content, std::shared_ptr<const LayerPack> packed) {
  const std::lock_guard<std::mutex> lock(mutex_);
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
