// The provider's options, as they arrive in the session's configuration (ep.sparsecpuprovider.<key>).
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "abi/ort_abi.h"
#include "claim/claim.h"

namespace sparsecpu {

constexpr const char kOptionPrefix[] = "ep.sparsecpuprovider.";
using OptionList = std::vector<std::pair<std::string, std::string>>;

// Ordered: a level includes all before it.
enum class LogLevel { kOff, kError, kWarning, kInfo, kVerbose };
std::optional<LogLevel> parse_log_level(const std::string& text);

struct Options {
  ClaimOptions claim;
  std::optional<LogLevel> log;  // unset: whatever the session's logger shows
};

// isa          auto | scalar | avx2 | avx512 | avx512_vnni: a level above what the CPU has is an error
// min_sparsity auto | 0..1                           share of zeros from which a layer is claimed
// neighbours   on | off
// jit          on | off                              off: no generated code
// log          off | error | warning | info | verbose
// assume       name=size[,name=size...]              sizes of symbolic axes for the prediction
// Throws Error naming the option, the value and what was expected.
Options parse_options(const OptionList& entries);

}  // namespace sparsecpu
