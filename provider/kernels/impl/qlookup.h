// A 256-entry table over bytes. With AVX-512 VBMI, which not every CPU with VNNI has, two byte permutes look up a
// whole vector; without it, sixteen shuffles do. The choice is made once a call.
#pragma once
#include "kernels/impl/qvec.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

#if defined(SPARSECPU_LEVEL_VNNI)
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi"))) void look_up_vbmi(const uint8_t* table,
                                                                                  const uint8_t* x, uint8_t* y,
                                                                                  int64_t count) {
  const __m512i low0 = _mm512_loadu_si512(table), low1 = _mm512_loadu_si512(table + 64);
  const __m512i high0 = _mm512_loadu_si512(table + 128), high1 = _mm512_loadu_si512(table + 192);
  for (int64_t i = 0; i < count; i += 64) {
    const __mmask64 inside = count - i >= 64 ? ~__mmask64{0} : (__mmask64{1} << (count - i)) - 1;
    const __m512i index = _mm512_maskz_loadu_epi8(inside, x + i);
    const __m512i low = _mm512_permutex2var_epi8(low0, index, low1);
    const __m512i high = _mm512_permutex2var_epi8(high0, index, high1);
    _mm512_mask_storeu_epi8(y + i, inside, _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(index), high));
  }
}
#endif

void look_up_bytes(const uint8_t* table, const uint8_t* x, uint8_t* y, int64_t count) {
#if defined(SPARSECPU_LEVEL_VNNI)
  if (__builtin_cpu_supports("avx512vbmi")) {
    look_up_vbmi(table, x, y, count);
    return;
  }
#endif
  for (int64_t i = 0; i < count; i += kByteVec) {
    store_bytes_first(y + i, look_up(table, load_bytes_first(x + i, count - i)), count - i);
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
