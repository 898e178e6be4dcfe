// The avx2 level's INT8 kernels.
#define SPARSECPU_LEVEL avx2
#define SPARSECPU_LEVEL_AVX2 1
#include "kernels/impl/qtable.h"
