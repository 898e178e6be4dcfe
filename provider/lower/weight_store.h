// Packed weights of this process by what they were packed from: layers, regions and sessions with the same weights
// share them. The last user frees them.
#pragma once
#include <map>
#include <memory>

#include "base/content_hash.h"
#include "lower/layer_pack.h"

namespace sparsecpu {

// One for the process, whose lock fork() waits for.
class WeightStore {
 public:
  static WeightStore& shared();

  // Null if nobody holds them.
  std::shared_ptr<const LayerPack> find(const Digest& content);
  // What is there already, packed by another thread meanwhile, or `packed`.
  std::shared_ptr<const LayerPack> add(const Digest& content, std::shared_ptr<const LayerPack> packed);

 private:
  WeightStore() = default;

  std::map<Digest, std::weak_ptr<const LayerPack>> held_;
  size_t swept_ = 0;  // entries left when those without a user were removed
};

}  // namespace sparsecpu
