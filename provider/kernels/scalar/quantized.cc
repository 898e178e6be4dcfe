// The scalar level's INT8 kernels.
#define SPARSECPU_LEVEL scalar
#define SPARSECPU_LEVEL_SCALAR 1
#include "kernels/impl/qtable.h"
