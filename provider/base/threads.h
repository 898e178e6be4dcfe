// Work shared with temporary threads while a model is compiled.
#pragma once
#include <cstddef>
#include <functional>

namespace sparsecpu {

// run(0) ... run(count - 1) on the caller and temporary threads, joined before it returns: as many as there are CPUs,
// fewer where the system refuses more. The first exception passes on.
void for_each_on_threads(size_t count, const std::function<void(size_t)>& run);

}  // namespace sparsecpu
