#include "base/cpu.h"

#include <cpuid.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

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

struct Registers {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};
// Of a leaf that the CPU may not have: then nothing.
Registers cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Registers r;
  if (!__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d)) return {};
  return r;
}

Features read_features() {
  constexpr uint32_t kLeaf1 = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
  if (!has_all(cpuid(1).c, kLeaf1)) return 0;
  const uint64_t xcr0 = read_xcr0();
  if ((xcr0 & kXcr0Avx) != kXcr0Avx) return 0;
  const Registers seven = cpuid(7);
  Features features = 0;
  if (has_all(seven.b, bit_AVX2)) features |= kAvx2;
  constexpr uint32_t kVnniInt8Bit = 1 << 4;
  if (seven.a >= 1 && has_all(cpuid(7, 1).d, kVnniInt8Bit)) features |= kVnniInt8;
  if ((xcr0 & kXcr0Avx512) != kXcr0Avx512) return features;
  constexpr uint32_t kLeaf7 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  if (has_all(seven.b, kLeaf7)) features |= kAvx512;
  if (has_all(seven.c, bit_AVX512VNNI)) features |= kVnni512;
  return features;
}

int64_t read_l2_bytes() {
  constexpr uint32_t kLeaf = 0x80000006;  // of AMD and Intel alike
  constexpr int64_t kUsual = 1 << 20;
  // Only generated code asks. What is planned where it cannot run is for CPUs where it can.
  if ((hardware_features() & kAvx512) == 0) return kUsual;
  const int64_t kilobytes = cpuid(kLeaf).c >> 16;
  return kilobytes > 0 ? kilobytes * 1024 : kUsual;
}

struct FeatureFlags {
  Feature feature;
  std::vector<std::string> flags;
};
const FeatureFlags kFlags[] = {
    {kAvx2, {"avx2", "fma", "f16c"}},
    {kAvx512, {"avx512f", "avx512bw", "avx512dq", "avx512vl"}},
    {kVnni512, {"avx512_vnni"}},
    {kVnniInt8, {"avx_vnni_int8"}},
};

}  // namespace

Features hardware_features() {
  static const Features features = read_features();
  return features;
}

int64_t l2_share(double share) {
  static const int64_t bytes = read_l2_bytes();
  return static_cast<int64_t>(share * static_cast<double>(bytes));
}

std::vector<std::string> flags_of(Features features) {
  std::vector<std::string> result;
  for (const FeatureFlags& known : kFlags) {
    if ((features & known.feature) != 0) result.insert(result.end(), known.flags.begin(), known.flags.end());
  }
  return result;
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
