// The list of levels that this build has, and the choice among them.
#include "kernels/registry.h"

namespace sparsecpu {

namespace scalar {
extern const KernelTable table;
}
#if defined(__x86_64__)
namespace avx2 {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}
#endif

std::span<const KernelTable* const> kernel_tables() {
  static constexpr const KernelTable* kTables[] = {
      &scalar::table,
#if defined(__x86_64__)
      &avx2::table,
      &avx512::table,
#endif
  };
  return kTables;
}

const KernelTable& kernels_for(Isa isa) {
  const KernelTable* best = &scalar::table;
  for (const KernelTable* candidate : kernel_tables()) {
    if (candidate->isa <= isa) best = candidate;
  }
  return *best;
}

}  // namespace sparsecpu
