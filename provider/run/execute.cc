// The worker loop: see execute() in program.h for the protocol.
#include <immintrin.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <chrono>

#include "base/memory.h"
#include "run/program.h"

namespace sparsecpu {
namespace {

struct alignas(kCacheLine) StepProgress {
  std::atomic<int> done{0};
};

// One call's shared state. All memory is had before the workers start.
class Run {
 public:
  Run(const Program& program, const Frame& frame, int workers, int64_t* step_ns)
      : program_(program), frame_(frame), workers_(workers), step_ns_(step_ns), progress_(program.steps.size()) {
    size_t chunks = 0;
    for (const auto& step : program.steps) chunks += static_cast<size_t>(step->chunks);
    taken_ = std::vector<std::atomic<bool>>(chunks);
  }

  static void work(void* run, size_t) noexcept { static_cast<Run*>(run)->walk(); }

 private:
  void walk() noexcept {
    const int rank = arrivals_.fetch_add(1, std::memory_order_relaxed) % workers_;
    const bool timed = step_ns_ != nullptr && rank == 0;
    int64_t started = timed ? now_ns() : 0;
    std::atomic<bool>* taken = taken_.data();
    for (size_t s = 0; s < program_.steps.size(); ++s) {
      const Step& step = *program_.steps[s];
      run_step(step, progress_[s], taken, rank);
      wait_for(progress_[s].done, step.chunks);
      taken += step.chunks;
      if (timed) {
        const int64_t now = now_ns();
        step_ns_[s] = now - started;
        started = now;
      }
    }
  }

  void run_step(const Step& step, StepProgress& progress, std::atomic<bool>* taken, int rank) noexcept {
    if (progress.done.load(std::memory_order_relaxed) == step.chunks) return;
    const int first = static_cast<int>(static_cast<int64_t>(step.chunks) * rank / workers_);
    int finished = 0;
    for (int i = 0; i < step.chunks; ++i) {
      const int chunk = first + i < step.chunks ? first + i : first + i - step.chunks;
      if (taken[chunk].load(std::memory_order_relaxed) || taken[chunk].exchange(true, std::memory_order_relaxed))
        continue;
      step.run(chunk, frame_);
      ++finished;
    }
    if (finished > 0) progress.done.fetch_add(finished, std::memory_order_acq_rel);
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
  std::vector<StepProgress> progress_;
  std::vector<std::atomic<bool>> taken_;
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

Frame make_frame(const Program& program, std::byte* arena, const std::vector<const void*>& inputs,
                 const std::vector<void*>& outputs) {
  Frame frame;
  frame.buffers.reserve(program.buffers.size());
  for (const BufferPlace& place : program.buffers) {
    switch (place.kind) {
      case BufferPlace::Kind::kArena:
        frame.buffers.push_back(reinterpret_cast<float*>(arena + place.offset));
        break;
      case BufferPlace::Kind::kInput:
        frame.buffers.push_back(static_cast<float*>(const_cast<void*>(inputs[place.index])));
        break;
      case BufferPlace::Kind::kConstant:
        frame.buffers.push_back(static_cast<float*>(const_cast<void*>(program.constants[place.index])));
        break;
      case BufferPlace::Kind::kOutput:
        frame.buffers.push_back(static_cast<float*>(outputs[place.index]));
        break;
    }
  }
  return frame;
}

void execute(const Program& program, const Frame& frame, const ParallelFor& parallel_for, int workers,
             int64_t* step_ns) {
  if (program.steps.empty()) return;
  Run run(program, frame, workers, step_ns);
  parallel_for.invoke(parallel_for.host, &Run::work, static_cast<size_t>(workers), &run);
}

}  // namespace sparsecpu
