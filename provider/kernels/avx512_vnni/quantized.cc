// The avx512_vnni level's INT8 kernels, compiled as avx512's with -mavx512vnni added.
#define SPARSECPU_LEVEL avx512_vnni
#define SPARSECPU_LEVEL_AVX512 1
#define SPARSECPU_LEVEL_VNNI 1
#include "kernels/impl/qtable.h"
