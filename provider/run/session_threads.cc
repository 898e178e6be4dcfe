#include "run/session_threads.h"

#include <immintrin.h>
#include <pthread.h>

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "base/happens_before.h"
#include "pack/speeds.h"
#include "run/turn.h"

namespace sparsecpu {
namespace {

// One ParallelFor. The host orders what the caller did before it, what the items do, and what the caller does after it.
class Call {
 public:
  Call(int items, int workers, SessionThreads::Work work, void* user)
      : workers_(workers), work_(work), user_(user), threads_(static_cast<size_t>(items)) {}

  void run(const ParallelFor& parallel_for) {
    release(this);
    parallel_for.invoke(parallel_for.host, &Call::item, threads_.size(), this);
    acquire(this);
  }

  int distinct_threads() {
    const auto end = threads_.begin() + arrivals_.load(std::memory_order_relaxed);
    std::sort(threads_.begin(), end);
    return static_cast<int>(std::unique(threads_.begin(), end) - threads_.begin());
  }

 private:
  static void item(void* self, size_t) noexcept {
    acquire(self);
    static_cast<Call*>(self)->arrive();
    release(self);
  }

  void arrive() noexcept {
    const int rank = arrivals_.fetch_add(1, std::memory_order_relaxed);
    threads_[static_cast<size_t>(rank)] = pthread_self();
    if (rank < workers_) work_(user_, rank);
  }

  const int workers_;
  const SessionThreads::Work work_;
  void* const user_;
  std::atomic<int> arrivals_{0};
  std::vector<pthread_t> threads_;  // [arrival]
};

// Stays until all have come, or nobody has for some time.
class Muster {
 public:
  explicit Muster(int all) : all_(all), last_ns_(now_ns()) {}

  static void wait(void* self, int) noexcept {
    auto* muster = static_cast<Muster*>(self);
    if (now_ns() > muster->end()) return;  // the same threads again
    muster->last_ns_.store(now_ns(), std::memory_order_relaxed);
    muster->present_.fetch_add(1, std::memory_order_relaxed);
    while (muster->present_.load(std::memory_order_relaxed) < muster->all_ && now_ns() < muster->end()) _mm_pause();
  }

 private:
  int64_t end() const { return last_ns_.load(std::memory_order_relaxed) + kMusterNs; }

  const int all_;
  std::atomic<int> present_{0};
  std::atomic<int64_t> last_ns_;
};

void raise(std::atomic<int>* largest, int value) {
  int known = largest->load(std::memory_order_relaxed);
  while (known < value && !largest->compare_exchange_weak(known, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

int SessionThreads::workers(const ParallelFor& parallel_for) {
  if (seen() == 0) {
    Muster muster(cpus_);
    Call call(cpus_, cpus_, &Muster::wait, &muster);
    call.run(parallel_for);
    raise(&seen_, std::max(1, call.distinct_threads()));
  }
  return seen();
}

void SessionThreads::run(const ParallelFor& parallel_for, int workers, Work work, void* user) {
  const Turn turn(cpus_, usual_ns_.load(std::memory_order_relaxed) > kShortCallNs);
  if (turn.crowded()) {
    work(user, 0);
  } else {
    spread(parallel_for, workers, work, user);
  }
  note(now_ns() - turn.began_ns());
}

void SessionThreads::spread(const ParallelFor& parallel_for, int workers, Work work, void* user) {
  // Twice as many: should there be more threads than workers, the next call has more workers.
  const int items = std::min(2 * workers, cpus_);
  Call call(std::max(items, workers), workers, work, user);
  call.run(parallel_for);
  if (items > workers) raise(&seen_, call.distinct_threads());
}

// A running mean. What is lost where two calls write at once does not matter.
void SessionThreads::note(int64_t ns) {
  const int64_t usual = usual_ns_.load(std::memory_order_relaxed);
  usual_ns_.store(usual + (ns - usual) / 8, std::memory_order_relaxed);
}

}  // namespace sparsecpu
