// The worker loop: see execute() in program.h for the protocol.
#include <immintrin.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <chrono>

#include "base/memory.h"
#include "run/lane_tensor.h"

namespace sparsecpu {
namespace {

// Counters that several workers write, each in a cache line of its own.
struct alignas(kCacheLine) Counter {
  std::atomic<int> value{0};
};

// One call's shared state. All memory is had before the workers start.
class Run {
 public:
  Run(const Program& program, const Frame& frame, int workers, int64_t* step_ns)
      : program_(program),
        frame_(frame),
        workers_(workers),
        step_ns_(step_ns),
        done_(program.steps.size()),
        taken_(program.steps.size() * static_cast<size_t>(workers)) {}

  static void work(void* run, size_t) noexcept { static_cast<Run*>(run)->walk(); }

 private:
  void walk() noexcept {
    const int rank = arrivals_.fetch_add(1, std::memory_order_relaxed) % workers_;
    const bool timed = step_ns_ != nullptr && rank == 0;
    int64_t started = timed ? now_ns() : 0;
    const Frame frame = frame_of(rank);
    for (size_t s = 0; s < program_.steps.size(); ++s) {
      run_step(s, rank, frame);
      if (s + 1 < program_.steps.size()) prefetch(*program_.steps[s + 1], rank);
      wait_for(done_[s].value, program_.steps[s]->chunks);
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
    std::atomic<int>& done = done_[s].value;
    int finished = 0;
    for (int i = 0; i < workers_ && done.load(std::memory_order_relaxed) + finished < step.chunks; ++i) {
      const int owner = (rank + i) % workers_;
      std::atomic<int>& taken = taken_[s * static_cast<size_t>(workers_) + static_cast<size_t>(owner)].value;
      const Share share = share_of(step.chunks, owner, workers_);
      const auto count = static_cast<int>(share.end - share.begin);
      while (taken.load(std::memory_order_relaxed) < count) {
        const int chunk = taken.fetch_add(1, std::memory_order_relaxed);
        if (chunk >= count) break;
        step.run(static_cast<int>(share.begin) + chunk, frame);
        ++finished;
      }
    }
    if (finished > 0) done.fetch_add(finished, std::memory_order_acq_rel);
  }

  // Only chunks that a running worker has taken are waited for, so somebody always makes progress.
  static void wait_for(const std::atomic<int>& done, int chunks) noexcept {
    constexpr int kSpins = 4000;  // some 40 us: longer than most imbalances, shorter than a time slice
    for (int spins = 0; done.load(std::memory_order_acquire) != chunks;) {
      if (++spins < kSpins) {
        _mm_pause();
      } else {
        sched_yield();
      }
    }
  }

  const Program& program_;
  const Frame& frame_;
  const int workers_;
  int64_t* const step_ns_;
  std::atomic<int> arrivals_{0};
  std::vector<Counter> done_;   // [step]: chunks
  std::vector<Counter> taken_;  // [step][worker]: chunks of the worker's share
};

}  // namespace

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

const char* layout_change_name(LayoutChange change) {
  constexpr std::array<const char*, kLayoutChanges> kNames{"", "import", "export", "relayout", "halo", "copy"};
  return kNames[static_cast<size_t>(change)];
}

std::vector<float*> buffer_addresses(const Program& program, std::byte* arena, const std::vector<const void*>& inputs,
                                     const std::vector<void*>& outputs) {
  std::vector<float*> addresses;
  addresses.reserve(program.buffers.size());
  for (const BufferPlace& place : program.buffers) {
    switch (place.kind) {
      case BufferPlace::Kind::kArena:
      case BufferPlace::Kind::kWorker:
        addresses.push_back(reinterpret_cast<float*>(arena + place.offset));
        break;
      case BufferPlace::Kind::kInput:
        addresses.push_back(static_cast<float*>(const_cast<void*>(inputs[place.index])));
        break;
      case BufferPlace::Kind::kConstant:
        addresses.push_back(static_cast<float*>(const_cast<void*>(program.constants[place.index])));
        break;
      case BufferPlace::Kind::kOutput:
        addresses.push_back(static_cast<float*>(outputs[place.index]));
        break;
    }
  }
  return addresses;
}

void move_arena(const Program& program, std::byte* arena, std::vector<float*>* addresses) {
  for (size_t b = 0; b < program.buffers.size(); ++b) {
    const BufferPlace& place = program.buffers[b];
    const bool moves = place.kind == BufferPlace::Kind::kArena || place.kind == BufferPlace::Kind::kWorker;
    if (moves) (*addresses)[b] = reinterpret_cast<float*>(arena + place.offset);
  }
}

void execute(const Program& program, const Frame& frame, const ParallelFor& parallel_for, int workers,
             int64_t* step_ns) {
  if (program.steps.empty()) return;
  Run run(program, frame, workers, step_ns);
  parallel_for.invoke(parallel_for.host, &Run::work, static_cast<size_t>(workers), &run);
}

}  // namespace sparsecpu
