// The avx2 level's kernels, compiled with -mavx2 -mfma.
#define SPARSECPU_LEVEL avx2
#define SPARSECPU_LEVEL_AVX2 1
#include "kernels/impl/table.h"
