#include "base/cpu.h"

#include <cpuid.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/one_of.h"

namespace sparsecpu {
namespace {

// Bits of the XCR0 register: which vector state the operating system saves on a context switch.
constexpr uint64_t kXcr0Avx = 0x06;     // XMM, YMM
constexpr uint64_t kXcr0Avx512 = 0xe6;  // XMM, YMM, opmask, upper halves of ZMM0-15, ZMM16-31

uint64_t read_xcr0() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

bool has_all(uint32_t value, uint32_t bits) { return (value & bits) == bits; }

Isa read_hardware_isa() {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return Isa::kScalar;
  constexpr uint32_t kLeaf1 = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
  if (!has_all(c, kLeaf1)) return Isa::kScalar;
  const uint64_t xcr0 = read_xcr0();
  if ((xcr0 & kXcr0Avx) != kXcr0Avx) return Isa::kScalar;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has_all(b, bit_AVX2)) return Isa::kScalar;
  constexpr uint32_t kLeaf7 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  if (!has_all(b, kLeaf7) || (xcr0 & kXcr0Avx512) != kXcr0Avx512) return Isa::kAvx2;
  return has_all(c, bit_AVX512VNNI) ? Isa::kAvx512Vnni : Isa::kAvx512;
}

constexpr Isa kAscending[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni};

}  // namespace

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Vnni:
      return "avx512_vnni";
    case Isa::kScalar:
      break;
  }
  return "scalar";
}

std::vector<std::string> isa_names() {
  std::vector<std::string> names;
  for (Isa isa : kAscending) names.emplace_back(isa_name(isa));
  return names;
}

bool parse_isa(std::string_view name, Isa* isa) {
  for (Isa candidate : kAscending) {
    if (name == isa_name(candidate)) {
      *isa = candidate;
      return true;
    }
  }
  return false;
}

Isa hardware_isa() {
  static const Isa isa = read_hardware_isa();
  return isa;
}

Isa detected_isa() {
  const Isa hardware = hardware_isa();
  // Read every time, so that a test can change it between two sessions of one process.
  const char* forced = std::getenv("SPARSECPU_ISA");
  if (forced == nullptr || *forced == '\0') return hardware;
  Isa limit;
  if (!parse_isa(forced, &limit)) {
    throw Error("environment variable SPARSECPU_ISA is '" + std::string(forced) + "': expected " + one_of(isa_names()));
  }
  return std::min(limit, hardware);
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  const Isa best = detected_isa();
  for (Isa isa : kAscending) {
    if (isa <= best) isas.push_back(isa);
  }
  return isas;
}

int usable_cpus() {
  // Grown until the kernel accepts it: machines with more than 1024 CPUs need a larger mask.
  for (int cpus = 1024; cpus <= 65536; cpus *= 4) {
    cpu_set_t* set = CPU_ALLOC(static_cast<size_t>(cpus));
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(cpus));
    const int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

}  // namespace sparsecpu
