// What the whole process shares, and fork().
#pragma once
#include <pthread.h>

#include <mutex>

namespace sparsecpu {

// Called once, as the library is loaded: from then on fork() waits until nobody holds the mutex. In the child, which
// has none of the other threads, one that another thread held would stay locked for ever. No thread holds two of them.
template <std::mutex* kMutex>
int wait_at_fork() noexcept {
  return pthread_atfork([] { kMutex->lock(); }, [] { kMutex->unlock(); }, [] { kMutex->unlock(); });
}

}  // namespace sparsecpu
