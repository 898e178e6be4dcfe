#include "plugin/options.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "base/cpu.h"
#include "base/error.h"
#include "base/name.h"
#include "kernels/jit/spmm_emitter.h"

namespace sparsecpu {
namespace {

[[noreturn]] void reject(const std::string& key, const std::string& value, const std::string& expected) {
  throw Error(std::string(kProviderName) + ": option '" + key + "' is '" + value + "': expected " + expected);
}

template <class T>
bool parse_number(std::string_view text, T* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

Isa parse_isa_option(const std::string& key, const std::string& value) {
  const Isa best = detected_isa();
  if (value == "auto") return best;
  Isa isa;
  if (!parse_isa(value, &isa)) reject(key, value, "auto, scalar, avx2, avx512 or avx512_vnni");
  if (isa > best) {
    reject(key, value, "a level that this CPU has (or SPARSECPU_ISA allows): at most " + std::string(isa_name(best)));
  }
  return isa;
}

std::optional<double> parse_min_sparsity(const std::string& key, const std::string& value) {
  if (value == "auto") return std::nullopt;
  double share = 0;
  // Written so that NaN is refused too.
  if (!parse_number(value, &share) || !(share >= 0 && share <= 1)) reject(key, value, "auto or a number from 0 to 1");
  return share;
}

bool parse_switch(const std::string& key, const std::string& value) {
  if (value != "on" && value != "off") reject(key, value, "on or off");
  return value == "on";
}

std::string_view strip(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::map<std::string, int64_t> parse_assume(const std::string& key, const std::string& value) {
  std::map<std::string, int64_t> sizes;
  std::string_view rest = value;
  while (!strip(rest).empty()) {
    const size_t comma = rest.find(',');
    const std::string_view entry = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    const size_t equals = entry.find('=');
    const std::string_view name = strip(entry.substr(0, equals));
    int64_t size = 0;
    if (equals == std::string_view::npos || name.empty() || !parse_number(strip(entry.substr(equals + 1)), &size) ||
        size < 1) {
      reject(key, value, "name=size[,name=size...] with sizes of at least 1, for example batch=1,seq=128");
    }
    const auto [known, fresh] = sizes.try_emplace(std::string(name), size);
    if (!fresh && known->second != size) {
      reject(
          key, value,
          "one size for '" + known->first + "', not " + std::to_string(known->second) + " and " + std::to_string(size));
    }
  }
  return sizes;
}

}  // namespace

std::optional<LogLevel> parse_log_level(const std::string& text) {
  if (text == "off") return LogLevel::kOff;
  if (text == "error") return LogLevel::kError;
  if (text == "warning") return LogLevel::kWarning;
  if (text == "info") return LogLevel::kInfo;
  if (text == "verbose") return LogLevel::kVerbose;
  return std::nullopt;
}

// Read by Log; said here, where an error ends the creation of the session.
void check_environment() {
  const char* level = std::getenv("SPARSECPU_LOG");
  if (level == nullptr || *level == '\0' || parse_log_level(level)) return;
  throw Error("environment variable SPARSECPU_LOG is '" + std::string(level) +
              "': expected off, error, warning, info or verbose");
}

Options parse_options(const OptionList& entries) {
  check_environment();
  Options options;
  options.claim.isa = detected_isa();
  options.claim.jit = true;
  for (const auto& [key, value] : entries) {
    if (key == "isa") {
      options.claim.isa = parse_isa_option(key, value);
    } else if (key == "min_sparsity") {
      options.claim.min_sparsity = parse_min_sparsity(key, value);
    } else if (key == "neighbours") {
      options.claim.neighbours = parse_switch(key, value);
    } else if (key == "jit") {
      options.claim.jit = parse_switch(key, value);
    } else if (key == "log") {
      options.log = parse_log_level(value);
      if (!options.log) reject(key, value, "off, error, warning, info or verbose");
    } else if (key == "assume") {
      options.claim.assume = parse_assume(key, value);
    } else {
      throw Error(std::string(kProviderName) + ": unknown option '" + key + "' (value '" + value +
                  "'): expected isa, min_sparsity, neighbours, jit, log or assume");
    }
  }
  options.claim.jit = options.claim.jit && jit_available(options.claim.isa);
  return options;
}

}  // namespace sparsecpu
