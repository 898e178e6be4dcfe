// The avx512 level's kernels, compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl.
#define SPARSECPU_LEVEL avx512
#define SPARSECPU_LEVEL_AVX512 1
#include "kernels/impl/table.h"
