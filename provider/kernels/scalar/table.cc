// The scalar level's kernels, compiled for any CPU.
#define SPARSECPU_LEVEL scalar
#define SPARSECPU_LEVEL_SCALAR 1
#include "kernels/impl/table.h"
