// The values that an error expects, as its sentence lists them.
#pragma once
#include <string>
#include <vector>

namespace sparsecpu {

std::string one_of(const std::vector<std::string>& names);  // "a, b or c"

}  // namespace sparsecpu
