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

namespace {

#if defined(__x86_64__)
// VNNI changes nothing for floats: the level shares the fp32 kernels of the one below.
const KernelTable& vnni_table() {
  static const KernelTable table = [] {
    KernelTable shared = avx512::table;
    shared.isa = Isa::kAvx512Vnni;
    return shared;
  }();
  return table;
}
#endif

}  // namespace

std::span<const KernelTable* const> kernel_tables() {
  static const KernelTable* const kTables[] = {
      &scalar::table,
#if defined(__x86_64__)
      &avx2::table,
      &avx512::table,
      &vnni_table(),
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
