#include "plugin/options.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/name.h"
#include "base/one_of.h"
#include "pack/levels.h"

namespace sparsecpu {
namespace {

using Entry = OptionList::value_type;

[[noreturn]] void reject(const Entry& entry, const std::string& expected) {
  throw Error(std::string(kProviderName) + ": option '" + entry.first + "' is '" + entry.second + "': expected " +
              expected);
}

template <class T>
bool parse_number(std::string_view text, T* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string> isa_values() {
  std::vector<std::string> values = level_names();
  values.insert(values.begin(), "auto");
  return values;
}

void set_isa(const Entry& entry, Options* options) {
  const std::vector<Isa> available = available_isas();
  const Level* level = entry.second == "auto" ? &level_of(available.back()) : find_level(entry.second);
  if (level == nullptr) reject(entry, one_of(isa_values()));
  if (std::find(available.begin(), available.end(), isa_of(*level)) == available.end()) {
    std::vector<std::string> names;
    for (Isa isa : available) names.emplace_back(level_of(isa).name);
    reject(entry, "a level that this CPU has (or SPARSECPU_ISA allows): " + one_of(names));
  }
  options->claim.isa = isa_of(*level);
}

void set_min_sparsity(const Entry& entry, Options* options) {
  options->claim.min_sparsity.reset();
  if (entry.second == "auto") return;
  double share = 0;
  // Written so that NaN is refused too.
  if (!parse_number(entry.second, &share) || !(share >= 0 && share <= 1)) reject(entry, "auto or a number from 0 to 1");
  options->claim.min_sparsity = share;
}

bool is_on(const Entry& entry) {
  if (entry.second != "on" && entry.second != "off") reject(entry, "on or off");
  return entry.second == "on";
}

void set_neighbours(const Entry& entry, Options* options) { options->claim.neighbours = is_on(entry); }

void set_jit(const Entry& entry, Options* options) { options->claim.jit = is_on(entry); }

constexpr LogLevel kLogLevels[] = {LogLevel::kOff, LogLevel::kError, LogLevel::kWarning, LogLevel::kInfo,
                                   LogLevel::kVerbose};

std::vector<std::string> log_values() {
  std::vector<std::string> values;
  for (LogLevel level : kLogLevels) values.emplace_back(log_level_name(level));
  return values;
}

void set_log(const Entry& entry, Options* options) {
  options->log = parse_log_level(entry.second);
  if (!options->log) reject(entry, one_of(log_values()));
}

std::string_view strip(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

void set_assume(const Entry& entry, Options* options) {
  std::map<std::string, int64_t>& sizes = options->claim.assume;
  sizes.clear();
  std::string_view rest = entry.second;
  while (!strip(rest).empty()) {
    const size_t comma = rest.find(',');
    const std::string_view pair = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    const size_t equals = pair.find('=');
    const std::string_view name = strip(pair.substr(0, equals));
    int64_t size = 0;
    if (equals == std::string_view::npos || name.empty() || !parse_number(strip(pair.substr(equals + 1)), &size) ||
        size < 1) {
      reject(entry, "name=size[,name=size...] with sizes of at least 1, for example batch=1,seq=128");
    }
    const auto [known, fresh] = sizes.try_emplace(std::string(name), size);
    if (!fresh && known->second != size) {
      reject(entry, "one size for '" + known->first + "', not " + std::to_string(known->second) + " and " +
                        std::to_string(size));
    }
  }
}

struct Row {
  OptionText text;
  void (*set)(const Entry& entry, Options* options);
};

std::string in_code(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "`" : ", `") + value + "`";
  return text;
}

// All options there are. Made anew each time: a static would be guarded by a lock, which a fork could leave taken.
std::vector<Row> rows() {
  const std::string on_off = in_code({"on", "off"});
  return {
      {{"isa", in_code(isa_values()), "instruction set; `auto` is the best one the CPU has"}, set_isa},
      {{"min_sparsity", "`auto`, `0` to `1`",
        "share of zeros from which a layer is taken; `auto`: when it is predicted to be faster; `0`: whatever is "
        "supported"},
       set_min_sparsity},
      {{"neighbours", on_off, "`off` takes the layers with weights alone, without the nodes around them"},
       set_neighbours},
      {{"jit", on_off, "`off` generates no machine code; the sparse layers then run the `spmm` kernel"}, set_jit},
      {{"log", in_code(log_values()), "what to write to ONNX Runtime's log"}, set_log},
      {{"assume", "`name=size,...`",
        "sizes of symbolic axes for the prediction (one without a symbol: `input[axis]`); the others count as 1 image, "
        "224 pixels, 128 tokens, and a claim must not lose at some other sizes"},
       set_assume},
  };
}

}  // namespace

const char* log_level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kOff:
      return "off";
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kVerbose:
      break;
  }
  return "verbose";
}

std::optional<LogLevel> parse_log_level(const std::string& text) {
  for (LogLevel level : kLogLevels) {
    if (text == log_level_name(level)) return level;
  }
  return std::nullopt;
}

std::vector<OptionText> option_texts() {
  std::vector<OptionText> texts;
  for (Row& row : rows()) texts.push_back(std::move(row.text));
  return texts;
}

// Read by Log; said here, where an error ends the creation of the session.
void check_environment() {
  const char* level = std::getenv("SPARSECPU_LOG");
  if (level == nullptr || *level == '\0' || parse_log_level(level)) return;
  throw Error("environment variable SPARSECPU_LOG is '" + std::string(level) + "': expected " + one_of(log_values()));
}

Options parse_options(const OptionList& entries) {
  check_environment();
  Options options;
  options.claim.isa = available_isas().back();
  options.claim.jit = true;
  const std::vector<Row> known = rows();
  for (const Entry& entry : entries) {
    const auto row = std::find_if(known.begin(), known.end(), [&](const Row& r) { return r.text.name == entry.first; });
    if (row == known.end()) {
      std::vector<std::string> names;
      for (const Row& r : known) names.push_back(r.text.name);
      throw Error(std::string(kProviderName) + ": unknown option '" + entry.first + "' (value '" + entry.second +
                  "'): expected " + one_of(names));
    }
    row->set(entry, &options);
  }
  options.claim.jit = options.claim.jit && jit_available(options.claim.isa, /*bytes=*/false);
  return options;
}

}  // namespace sparsecpu
