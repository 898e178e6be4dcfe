// Sleeping until another thread has changed a number. Neither allocates nor throws, and nobody holds a lock.
#pragma once
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <ctime>

namespace sparsecpu {

static_assert(sizeof(std::atomic<int>) == sizeof(int) && std::atomic<int>::is_always_lock_free);

// Returns at wake_all(), after so many nanoseconds, at once if the number is another, and now and then for no reason.
inline void sleep_while(const std::atomic<int>& number, int value, int64_t longest_ns) noexcept {
  const timespec longest{longest_ns / 1'000'000'000, longest_ns % 1'000'000'000};
  syscall(SYS_futex, &number, FUTEX_WAIT_PRIVATE, value, &longest, nullptr, 0);
}
inline void sleep_while(const std::atomic<int>& number, int value) noexcept {
  syscall(SYS_futex, &number, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

inline void wake_all(const std::atomic<int>& number) noexcept {
  syscall(SYS_futex, &number, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace sparsecpu
