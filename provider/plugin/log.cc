#include "plugin/log.h"

#include <algorithm>
#include <cstdlib>

#include "abi/ort_api.h"
#include "base/name.h"

namespace sparsecpu {
namespace {

ort::OrtLoggingLevel severity_of(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return ort::ORT_LOGGING_LEVEL_ERROR;
    case LogLevel::kWarning:
      return ort::ORT_LOGGING_LEVEL_WARNING;
    case LogLevel::kInfo:
      return ort::ORT_LOGGING_LEVEL_INFO;
    default:
      return ort::ORT_LOGGING_LEVEL_VERBOSE;
  }
}

std::optional<LogLevel> level_from_environment() {
  const char* text = std::getenv("SPARSECPU_LOG");
  return text != nullptr ? parse_log_level(text) : std::nullopt;
}

}  // namespace

Log::Log(const ort::OrtLogger* logger)
    : logger_(logger),
      level_(level_from_environment()),
      session_severity_(ort::get(ort::api().Logger_GetLoggingSeverityLevel, logger)) {}

void Log::set_level(std::optional<LogLevel> level) {
  const std::optional<LogLevel> environment = level_from_environment();
  level_ = environment ? environment : level;
}

bool Log::shows(LogLevel level) const { return level_ ? level <= *level_ : severity_of(level) >= session_severity_; }

void Log::write(LogLevel level, const std::string& message) const noexcept {
  if (!shows(level)) return;
  try {
    const std::string text = std::string(kProviderName) + " [" + log_level_name(level) + "]: " + message;
    const ort::OrtLoggingLevel severity = std::max(severity_of(level), session_severity_);
    ort::ignore(ort::api().Logger_LogMessage(logger_, severity, text.c_str(), __FILE_NAME__, __LINE__, kProviderName));
  } catch (...) {
    // A message is never worth a failed session.
  }
}

}  // namespace sparsecpu
