// The clock that times are measured with.
#pragma once
#include <chrono>
#include <cstdint>

namespace sparsecpu {

// Nanoseconds of a steady clock.
inline int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace sparsecpu
