// What this CPU can run: its features, and how many threads may run at once.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace sparsecpu {

// Instructions that are of use together. A set is a sum of them.
enum Feature : uint32_t {
  kAvx2 = 1,      // with FMA and F16C
  kAvx512 = 2,    // F, BW, DQ and VL
  kVnni512 = 4,   // AVX-512 VNNI
  kVnniInt8 = 8,  // products of signed bytes: no kernel here uses it, the CPU provider's do
};
using Features = uint32_t;

Features hardware_features();                          // of this CPU and operating system (XCR0 checked)
std::vector<std::string> flags_of(Features features);  // as /proc/cpuinfo calls them

// Bytes: this share of a core's L2 cache. Where the CPU does not say how large that is, or has no AVX-512, of 1 MB.
int64_t l2_share(double share);

// CPUs this process may run on (affinity mask), at least 1.
int usable_cpus();

}  // namespace sparsecpu
