// For ThreadSanitizer: what a host that was not built for it orders between threads.
#pragma once

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace sparsecpu {

// What this thread did before release(object), a thread sees after acquire(object).
inline void release([[maybe_unused]] void* object) noexcept {
#ifdef __SANITIZE_THREAD__
  __tsan_release(object);
#endif
}

inline void acquire([[maybe_unused]] void* object) noexcept {
#ifdef __SANITIZE_THREAD__
  __tsan_acquire(object);
#endif
}

}  // namespace sparsecpu
