// Instruction-set levels. Nothing else may be in this header: files compiled for a level include it.
#pragma once

namespace sparsecpu {

// Ordered: a CPU that has a level has all levels below it.
enum class Isa { kScalar = 0, kAvx2 = 1, kAvx512 = 2, kAvx512Vnni = 3 };

}  // namespace sparsecpu
