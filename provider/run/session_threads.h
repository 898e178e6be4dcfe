// The threads of a session: how many there are, and the call that spreads workers over them.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sparsecpu {

// The host's: fn(user, i) for i in [0, total), on whatever threads it has; returns when all are done.
struct ParallelFor {
  void (*invoke)(void* host, void (*fn)(void* user, size_t index), size_t total, void* user) = nullptr;
  void* host = nullptr;
};

// ONNX Runtime tells nobody how many threads a session has, so those that take part in a ParallelFor are counted. The
// largest number seen holds: a thread that comes late in one call is there all the same.
class SessionThreads {
 public:
  explicit SessionThreads(int cpus) : cpus_(cpus) {}  // never more workers than CPUs

  int seen() const { return seen_.load(std::memory_order_relaxed); }  // 0: no run yet

  // How many workers can run at once, as far as is known. The first call waits for threads to come, a millisecond or
  // so.
  int workers(const ParallelFor& parallel_for);

  // work(user, rank) for every rank in [0, workers), each of which does what the others leave. Threads that come beyond
  // the workers are counted. While other calls have all CPUs, the caller waits for its turn and works alone: help would
  // only take turns with them, and a call that waits for two threads to get theirs waits longer than for one.
  using Work = void (*)(void* user, int rank) noexcept;
  void run(const ParallelFor& parallel_for, int workers, Work work, void* user);

 private:
  void spread(const ParallelFor& parallel_for, int workers, Work work, void* user);
  void note(int64_t ns);

  const int cpus_;
  std::atomic<int> seen_{0};
  std::atomic<int64_t> usual_ns_{0};  // that a call computes
};

}  // namespace sparsecpu
