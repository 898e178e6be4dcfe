// How many chunks steps are cut into, for so many workers.
#pragma once
#include <cstdint>

namespace sparsecpu {

struct Workers {
  int count = 1;

  // Of one step: enough that threads can help each other, one if there is only one.
  int64_t most_chunks() const { return count == 1 ? 1 : 4 * count; }
  // As many for every worker, so that it finds in its cache what it wrote there in the step before: a line that another
  // core has written costs more than the arithmetic on it.
  int64_t even_chunks(int64_t most) const { return most < count ? 1 : most / count * count; }
  // Enough chunks for every thread to help its neighbours, none smaller than about a microsecond of work.
  int chunks_for(int64_t units, int64_t floats_per_unit) const;
};

}  // namespace sparsecpu
