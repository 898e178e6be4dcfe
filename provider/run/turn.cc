#include "run/turn.h"

#include <pthread.h>

#include <atomic>
#include <limits>

#include "base/clock.h"
#include "base/futex.h"
#include "base/memory.h"
#include "pack/speeds.h"

namespace sparsecpu {
namespace {

// Where a call sleeps until it is due. More calls than gates share them, and some wake for nothing.
struct alignas(kCacheLine) Gate {
  std::atomic<int> opened{0};
};
constexpr unsigned kGates = 64;
Gate gates[kGates];

// Calls that came, and that have left again: a call is due when fewer than CPUs of those before it are left. Both wrap
// around. Sequentially consistent: either a call that comes sees who has left, or who leaves sees that it has come.
std::atomic<unsigned> came{0}, left{0};
std::atomic<int64_t> crowded_ns{std::numeric_limits<int64_t>::min() / 2};

// A forked child has no calls.
const int forget_at_fork = pthread_atfork(nullptr, nullptr, [] { came = left = 0; });

}  // namespace

Turn::Turn(int cpus, bool waits) noexcept : cpus_(cpus), number_(came.fetch_add(1)), began_ns_(now_ns()) {
  const bool due = is_due();
  if (!due) crowded_ns.store(began_ns_, std::memory_order_relaxed);
  crowded_ = began_ns_ - crowded_ns.load(std::memory_order_relaxed) < kStaysCrowdedNs;
  if (due || !waits) return;
  wait();
  began_ns_ = now_ns();
}

Turn::~Turn() {
  const unsigned next = left.fetch_add(1) + static_cast<unsigned>(cpus_);  // is due now
  if (static_cast<int>(came.load() - next) <= 0) return;
  std::atomic<int>& opened = gates[next % kGates].opened;
  opened.fetch_add(1);
  wake_all(opened);
}

bool Turn::is_due() const { return static_cast<int>(number_ - left.load()) < cpus_; }

void Turn::wait() const {
  const std::atomic<int>& opened = gates[number_ % kGates].opened;
  const int64_t until = began_ns_ + kLongestWaitNs;
  for (int64_t now = began_ns_; now < until; now = now_ns()) {
    const int before = opened.load();
    if (is_due()) return;
    sleep_while(opened, before, until - now);
  }
}

}  // namespace sparsecpu
