#include "run/execute.h"

#include <immintrin.h>

#include <atomic>
#include <vector>

#include "base/clock.h"
#include "base/futex.h"
#include "base/memory.h"
#include "pack/speeds.h"
#include "run/lane_tensor.h"

namespace sparsecpu {
namespace {

// How many chunks of a step workers have taken. In a cache line of its own, as several workers write it.
struct alignas(kCacheLine) Taken {
  std::atomic<int> chunks{0};
};

// How many chunks of a step are done.
class alignas(kCacheLine) Done {
 public:
  int chunks() const { return chunks_.load(std::memory_order_relaxed); }

  void add(int chunks, int all) noexcept {
    if (chunks_.fetch_add(chunks) + chunks == all && sleepers_.load() > 0) wake_all(chunks_);
  }

  // Spins for a while. After that, the worker that is waited for has probably lost its CPU, perhaps to this one:
  // sleeping makes room for it.
  void wait_for(int all) noexcept {
    for (int64_t started = 0; chunks_.load(std::memory_order_acquire) != all;) {
      for (int i = 0; i < 64 && chunks_.load(std::memory_order_acquire) != all; ++i) _mm_pause();
      const int64_t now = now_ns();
      if (started == 0) started = now;
      if (now - started > kSpinNs) return sleep_until(all);
    }
  }

 private:
  // Sequentially consistent, as add() is: either this sees the last chunk, or add() sees the sleeper.
  void sleep_until(int all) noexcept {
    sleepers_.fetch_add(1);
    for (int chunks; (chunks = chunks_.load()) != all;) sleep_while(chunks_, chunks);
    sleepers_.fetch_sub(1);
  }

  std::atomic<int> chunks_{0}, sleepers_{0};
};

// One call's shared state. All memory is had before the workers start.
class Run {
 public:
  Run(const Program& program, const Frame& frame, int64_t* step_ns)
      : program_(program),
        frame_(frame),
        workers_(program.workers),
        step_ns_(step_ns),
        done_(program.steps.size()),
        taken_(program.steps.size() * static_cast<size_t>(program.workers)) {}

  static void work(void* run, int rank) noexcept { static_cast<Run*>(run)->walk(rank); }

 private:
  void walk(int rank) noexcept {
    const bool timed = step_ns_ != nullptr && rank == 0;
    int64_t started = timed ? now_ns() : 0;
    const Frame frame = frame_of(rank);
    for (size_t s = 0; s < program_.steps.size(); ++s) {
      run_step(s, rank, frame);
      if (s + 1 < program_.steps.size()) prefetch(*program_.steps[s + 1], rank);
      // Only chunks that a running worker has taken are waited for, so somebody always makes progress.
      done_[s].wait_for(program_.steps[s]->chunks);
      if (timed) {
        const int64_t now = now_ns();
        step_ns_[s] = now - started;
        started = now;
      }
    }
  }

  Frame frame_of(int rank) const {
    Frame frame = frame_;
    for (int buffer : program_.worker_buffers) {
      frame = frame.with(buffer, frame_.at({buffer, 0}) + rank * program_.worker_floats);
    }
    return frame;
  }

  void prefetch(const Step& step, int rank) const noexcept {
    const Share share = share_of(step.chunks, rank, workers_);
    if (share.begin < share.end) step.prefetch(static_cast<int>(share.begin));
  }

  void run_step(size_t s, int rank, const Frame& frame) noexcept {
    const Step& step = *program_.steps[s];
    int finished = 0;
    for (int i = 0; i < workers_ && done_[s].chunks() + finished < step.chunks; ++i) {
      const int owner = (rank + i) % workers_;
      std::atomic<int>& taken = taken_[s * static_cast<size_t>(workers_) + static_cast<size_t>(owner)].chunks;
      const Share share = share_of(step.chunks, owner, workers_);
      const auto count = static_cast<int>(share.end - share.begin);
      while (taken.load(std::memory_order_relaxed) < count) {
        const int chunk = taken.fetch_add(1, std::memory_order_relaxed);
        if (chunk >= count) break;
        step.run(static_cast<int>(share.begin) + chunk, frame);
        ++finished;
      }
    }
    if (finished > 0) done_[s].add(finished, step.chunks);
  }

  const Program& program_;
  const Frame& frame_;
  const int workers_;
  int64_t* const step_ns_;
  std::vector<Done> done_;    // [step]
  std::vector<Taken> taken_;  // [step][worker]: of the worker's share
};

}  // namespace

void execute(const Program& program, const Frame& frame, const ParallelFor& parallel_for, SessionThreads* threads,
             int64_t* step_ns) {
  if (program.steps.empty()) return;
  Run run(program, frame, step_ns);
  threads->run(parallel_for, program.workers, &Run::work, &run);
}

}  // namespace sparsecpu
