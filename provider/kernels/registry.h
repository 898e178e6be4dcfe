// Every kernel table that was compiled in. A kernel that is not in it does not exist.
#pragma once
#include <span>

#include "kernels/kernels.h"

namespace sparsecpu {

std::span<const KernelTable* const> kernel_tables();  // ascending by level; the caller checks available_isas()
const KernelTable& kernels_for(Isa isa);              // the best table at or below `isa`

}  // namespace sparsecpu
