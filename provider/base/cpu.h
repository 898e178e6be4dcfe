// What this CPU can run: instruction-set levels, and how many threads may run at once.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/isa.h"

namespace sparsecpu {

std::string_view isa_name(Isa isa);    // "scalar", "avx2", "avx512", "avx512_vnni"
std::vector<std::string> isa_names();  // of all levels, ascending
bool parse_isa(std::string_view name, Isa* isa);

Isa hardware_isa();                 // best level of this CPU and operating system (XCR0 checked)
Isa detected_isa();                 // that which is used: SPARSECPU_ISA lowers it, never raises it
std::vector<Isa> available_isas();  // every level up to detected_isa(), ascending

// CPUs this process may run on (affinity mask), at least 1.
int usable_cpus();

}  // namespace sparsecpu
