// The provider's name, as users write it in providers=[...].
#pragma once

namespace sparsecpu {

constexpr const char kProviderName[] = "SparseCPUProvider";

}  // namespace sparsecpu
