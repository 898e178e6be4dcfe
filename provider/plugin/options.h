// The provider's options, as they arrive in the session's configuration (ep.sparsecpuprovider.<key>).
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "abi/ort_abi.h"
#include "base/export.h"
#include "claim/claim.h"

namespace sparsecpu {

constexpr const char kOptionPrefix[] = "ep.sparsecpuprovider.";
using OptionList = std::vector<std::pair<std::string, std::string>>;

// Ordered: a level includes all before it.
enum class LogLevel { kOff, kError, kWarning, kInfo, kVerbose };
const char* log_level_name(LogLevel level);
std::optional<LogLevel> parse_log_level(const std::string& text);

struct Options {
  ClaimOptions claim;
  std::optional<LogLevel> log;  // unset: whatever the session's logger shows
};

// One option as help texts and README describe it, in Markdown.
struct OptionText {
  std::string name, values, meaning;
};
SPARSECPU_EXPORT std::vector<OptionText> option_texts();

// Throws Error naming the option, the value and what was expected.
Options parse_options(const OptionList& entries);

}  // namespace sparsecpu
