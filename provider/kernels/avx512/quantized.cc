// The avx512 level's INT8 kernels.
#define SPARSECPU_LEVEL avx512
#define SPARSECPU_LEVEL_AVX512 1
#include "kernels/impl/qtable.h"
