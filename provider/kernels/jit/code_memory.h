// Memory for generated code: written while it is readable and writable, then sealed to readable and
// executable. Never writable and executable at once.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sparsecpu {

class CodeMemory {
 public:
  CodeMemory() = default;
  // data() is null when the system has no memory.
  explicit CodeMemory(size_t bytes);
  CodeMemory(CodeMemory&& other) noexcept;
  CodeMemory& operator=(CodeMemory&& other) noexcept;
  ~CodeMemory();

  // Makes the memory executable. False if the system refuses it; the memory is then of no use.
  bool seal();
  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

  // Whether this process may run generated code at all (asked of the system once).
  static bool allowed();

 private:
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace sparsecpu
