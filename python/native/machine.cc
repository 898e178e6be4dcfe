// What this machine can do at best: the yardstick of kernel benchmarks and profiles. How fast its cores multiply and
// add vectors that never leave their registers, and read memory. In assembler, so that no file of the module needs an
// instruction set beyond the baseline.
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "base/cpu.h"
#include "base/memory.h"
#include "bindings.h"
#include "kernels/jit/code_memory.h"
#include "kernels_elementwise.h"
#include "pack/levels.h"

namespace py = pybind11;

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
void vnni_loop() { SPARSECPU_PEAK_LOOP("vzeroall\n", "vpdpbusd", "zmm"); }

// Seconds that `threads` threads take for work(thread) if they begin together; the fastest of `rounds`.
template <class Work>
double seconds_together(int threads, int rounds, const Work& work) {
  double best = 1e300;
  for (int round = 0; round < rounds; ++round) {
    std::atomic<int> ready{0};
    const auto begin_together = [&](int thread) {
      ready.fetch_add(1);
      while (ready.load() < threads) std::this_thread::yield();
      const auto start = std::chrono::steady_clock::now();
      work(thread);
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    std::vector<double> seconds(static_cast<size_t>(threads));
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) {
      others.emplace_back([&, t] { seconds[static_cast<size_t>(t)] = begin_together(t); });
    }
    seconds[0] = begin_together(0);
    for (std::thread& other : others) other.join();
    best = std::min(best, *std::max_element(seconds.begin(), seconds.end()));
  }
  return best;
}

double instructions_a_second(void (*loop)(), int threads) {
  constexpr int kRounds = 20;
  return kLoops * kChains * threads / seconds_together(threads, kRounds, [&](int) { loop(); });
}

bool has(const std::string& isa, sparsecpu::Features features) {
  return (level_named(isa).needs & sparsecpu::hardware_features() & features) == features;
}

// Products of four bytes in 16 lanes a second by vpdpbusd, all threads together; 0 for a level without it.
double vnni_peak(const std::string& isa, int threads) {
  return has(isa, sparsecpu::kVnni512) ? instructions_a_second(vnni_loop, threads) : 0.0;
}

// 16-lane multiply-adds a second, all threads together; 0 for the scalar level, which has none.
double fma_peak(const std::string& isa, int threads) {
  if (!has(isa, sparsecpu::kAvx2)) return 0.0;
  const bool wide = has(isa, sparsecpu::kAvx512);
  return instructions_a_second(wide ? zmm_loop : ymm_loop, threads) / (wide ? 1 : 2);
}

// Bytes a second that the threads read from `bytes` of memory, each its share of it again and again.
double read_bandwidth(int64_t bytes, int threads) {
  constexpr int kRounds = 10;
  constexpr size_t kLine = 64;
  const size_t share = std::max<size_t>(static_cast<size_t>(bytes) / static_cast<size_t>(threads) / kLine, 1) * kLine;
  sparsecpu::AlignedBuffer memory(share * static_cast<size_t>(threads));
  std::fill_n(memory.data(), share * static_cast<size_t>(threads), std::byte{1});
  const double seconds = seconds_together(threads, kRounds, [&](int thread) {
    const std::byte* at = memory.data() + share * static_cast<size_t>(thread);
    for (const std::byte* end = at + share; at != end; at += kLine) {
      __asm__ volatile("movaps (%0), %%xmm0\nmovaps 16(%0), %%xmm1\nmovaps 32(%0), %%xmm2\nmovaps 48(%0), %%xmm3"
                       :
                       : "r"(at)
                       : "xmm0", "xmm1", "xmm2", "xmm3");
    }
  });
  return static_cast<double>(share) * threads / seconds;
}

using LevelText = std::tuple<std::string, std::vector<std::string>, bool>;
std::vector<LevelText> level_texts() {
  std::vector<LevelText> texts;
  for (const sparsecpu::Level& level : sparsecpu::levels()) {
    texts.emplace_back(level.name, sparsecpu::flags_of(level.needs), sparsecpu::runs_here(level));
  }
  return texts;
}

}  // namespace

void bind_machine(py::module_& module) {
  using Release = py::call_guard<py::gil_scoped_release>;
  module.def("levels", &level_texts,
             "Of each: name, flags of /proc/cpuinfo that it needs, whether this machine runs it.");
  module.def("usable_cpus", &sparsecpu::usable_cpus);
  module.def("executable_memory", &sparsecpu::CodeMemory::allowed);
  module.def("generates_code", [](const std::string& isa) {
    return sparsecpu::jit_available(sparsecpu::isa_of(level_named(isa)), /*bytes=*/false);
  });
  module.def("vnni_peak", &vnni_peak, py::arg("isa"), py::arg("threads") = 1, Release());
  module.def("fma_peak", &fma_peak, py::arg("isa"), py::arg("threads") = 1, Release());
  module.def("read_bandwidth", &read_bandwidth, py::arg("bytes"), py::arg("threads") = 1, Release());
}
