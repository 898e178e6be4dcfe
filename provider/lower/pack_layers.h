// Packs the layers of several regions, each content once.
#pragma once
#include <string>
#include <vector>

#include "lower/layer_pack.h"

namespace sparsecpu {

struct PackedLayers {
  LayerPacks packs;                   // in order; null where it failed
  std::vector<std::string> failures;  // why; "" elsewhere
  std::vector<bool> is_first;         // of its content among these layers
  int64_t made = 0;                   // how many were packed: the others had been, here or in the process
};

// On temporary threads. Generated code of what is made here is one allocation, freed with the last of these layers;
// where the system refuses executable memory, the layers are packed without.
PackedLayers pack_layers(const std::vector<LayerSource>& layers);

}  // namespace sparsecpu
