// Which instruction-set level: its place in the list of levels (pack/levels.h). Nothing else may be in this header:
// files compiled for a level include it.
#pragma once

namespace sparsecpu {

enum class Isa : int { kScalar = 0 };  // the first of the list, which any CPU runs

}  // namespace sparsecpu
