// Messages through the logger of the ORT session.
#pragma once
#include <optional>
#include <string>

#include "abi/ort_abi.h"
#include "plugin/options.h"

namespace sparsecpu {

// ORT's logger hides what is below the session's severity (warning by default). A level asked for by the option
// `log` or by SPARSECPU_LOG is shown all the same: such a message is sent at the session's own severity, its
// real one in the text.
class Log {
 public:
  explicit Log(const ort::OrtLogger* logger);
  void set_level(std::optional<LogLevel> level);  // SPARSECPU_LOG wins

  bool shows(LogLevel level) const;
  void write(LogLevel level, const std::string& message) const noexcept;

 private:
  const ort::OrtLogger* logger_;
  std::optional<LogLevel> level_;  // explicit; unset: the session decides
  ort::OrtLoggingLevel session_severity_;
};

}  // namespace sparsecpu
