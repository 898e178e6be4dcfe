#include "lower/workers.h"

#include <algorithm>

#include "pack/speeds.h"

namespace sparsecpu {

int Workers::chunks_for(int64_t units, int64_t floats_per_unit) const {
  const int64_t worth = units * floats_per_unit / kChunkFloats;
  return static_cast<int>(even_chunks(std::clamp<int64_t>(worth, 1, std::clamp<int64_t>(units, 1, most_chunks()))));
}

}  // namespace sparsecpu
