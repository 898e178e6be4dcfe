// The yardstick of kernel benchmarks: how fast this core multiplies and adds vectors that never leave its
// registers. In assembler, so that no file of the module needs an instruction set beyond the baseline.
#include <algorithm>
#include <chrono>

#include "base/cpu.h"
#include "bindings.h"
#include "kernels_elementwise.h"

namespace {

constexpr int kLoops = 20000;
constexpr int kChains = 10;  // latency of 4 cycles x 2 units, and two to spare

#define SPARSECPU_TEN(op, r)                                                                                        \
  op " %%" r "0, %%" r "0, %%" r "1\n" op " %%" r "0, %%" r "0, %%" r "2\n" op " %%" r "0, %%" r "0, %%" r "3\n" op \
     " %%" r "0, %%" r "0, %%" r "4\n" op " %%" r "0, %%" r "0, %%" r "5\n" op " %%" r "0, %%" r "0, %%" r "6\n" op \
     " %%" r "0, %%" r "0, %%" r "7\n" op " %%" r "0, %%" r "0, %%" r "8\n" op " %%" r "0, %%" r "0, %%" r "9\n" op \
     " %%" r "0, %%" r "0, %%" r "10\n"
#define SPARSECPU_PEAK_LOOP(clear, op, r)                               \
  int loops = kLoops;                                                   \
  __asm__ volatile(clear "1:\n" SPARSECPU_TEN(op, r) "dec %0\njnz 1b\n" \
                   : "+r"(loops)                                        \
                   :                                                    \
                   : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10")

void zmm_loop() { SPARSECPU_PEAK_LOOP("vzeroall\n", "vfmadd231ps", "zmm"); }
void ymm_loop() { SPARSECPU_PEAK_LOOP("vzeroall\n", "vfmadd231ps", "ymm"); }

// Seconds of the fastest round.
double fastest(void (*loop)(), int rounds) {
  double best = 1e300;
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    loop();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::min(best, elapsed.count());
  }
  return best;
}

void vnni_loop() { SPARSECPU_PEAK_LOOP("vzeroall\n", "vpdpbusd", "zmm"); }

// Products of four bytes in 16 lanes a second by vpdpbusd; 0 without it.
double vnni_peak(int rounds) {
  if (sparsecpu::detected_isa() < sparsecpu::Isa::kAvx512Vnni) return 0.0;
  return kLoops * kChains / fastest(vnni_loop, rounds);
}

// 16-lane multiply-adds a second; 0 for the scalar level, which has none.
double fma_peak(const std::string& isa, int rounds) {
  const sparsecpu::Isa level = table_of(isa).isa;
  if (level == sparsecpu::Isa::kScalar || level > sparsecpu::detected_isa()) return 0.0;
  const bool wide = level >= sparsecpu::Isa::kAvx512;
  return kLoops * kChains / fastest(wide ? zmm_loop : ymm_loop, rounds) / (wide ? 1 : 2);
}

}  // namespace

void bind_fma_peak(pybind11::module_& module) {
  module.def("vnni_peak", &vnni_peak, pybind11::arg("rounds") = 20);
  module.def("fma_peak", &fma_peak, pybind11::arg("isa"), pybind11::arg("rounds") = 20);
}
