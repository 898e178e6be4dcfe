#include "run/plan.h"

#include <algorithm>
#include <atomic>

#include "base/clock.h"
#include "run/execute.h"

namespace sparsecpu {
namespace {

std::byte* address_of(const Port& port, const Operands& operands, int64_t slice) {
  std::byte* base = operands.arena;
  if (port.kind == Port::Kind::kInput) {
    base = static_cast<std::byte*>(const_cast<void*>(operands.inputs[port.index]));
  } else if (port.kind == Port::Kind::kOutput) {
    base = static_cast<std::byte*>(operands.outputs[port.index]);
  }
  return base + port.offset + slice * port.slice_bytes;
}

std::vector<float*> addresses_of(const Pass& pass, const Operands& region, std::byte* arena, int64_t slice) {
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (const Port& port : pass.inputs) inputs.push_back(address_of(port, region, slice));
  for (const Port& port : pass.outputs) outputs.push_back(address_of(port, region, slice));
  return buffer_addresses(*pass.program, arena, inputs, outputs);
}

// One call's shared state of a pass of slices. All memory is had before the workers start.
class SlicedRun {
 public:
  SlicedRun(const Pass& pass, const Operands& region, std::byte* arena, int workers, int64_t* step_ns)
      : pass_(pass), step_ns_(step_ns) {
    for (int64_t slice = 0; slice < pass.slices; ++slice) {
      addresses_.push_back(addresses_of(pass, region, arena, slice));
    }
    for (int w = 0; w < workers; ++w) arenas_.push_back(arena + static_cast<size_t>(w) * pass.program->arena_bytes);
  }

  static void work(void* run, int rank) noexcept { static_cast<SlicedRun*>(run)->walk(static_cast<size_t>(rank)); }

 private:
  void walk(size_t rank) noexcept {
    for (size_t slice; (slice = taken_.fetch_add(1, std::memory_order_relaxed)) < addresses_.size();) {
      move_arena(*pass_.program, arenas_[rank], &addresses_[slice]);
      compute(Frame(addresses_[slice]), rank == 0 ? step_ns_ : nullptr);
    }
  }

  void compute(const Frame& frame, int64_t* step_ns) const noexcept {
    int64_t started = step_ns != nullptr ? now_ns() : 0;
    for (const auto& step : pass_.program->steps) {
      for (int chunk = 0; chunk < step->chunks; ++chunk) step->run(chunk, frame);
      if (step_ns == nullptr) continue;
      const int64_t now = now_ns();
      *step_ns++ += now - started;
      started = now;
    }
  }

  const Pass& pass_;
  int64_t* const step_ns_;
  std::atomic<size_t> taken_{0};
  std::vector<std::vector<float*>> addresses_;  // [slice]
  std::vector<std::byte*> arenas_;              // [worker]
};

}  // namespace

size_t Plan::steps() const {
  size_t count = 0;
  for (const Pass& pass : passes) count += pass.program->steps.size();
  return count;
}

size_t Plan::plan_bytes() const {
  constexpr size_t kStepBytes = 600;  // of a step and its small tables, in an encoder
  size_t bytes = steps() * kStepBytes;
  for (const Pass& pass : passes) bytes += pass.program->plan_bytes;
  return bytes;
}

void execute(const Plan& plan, const Operands& operands, const ParallelFor& parallel_for, SessionThreads* threads,
             int64_t* step_ns) {
  std::byte* arena = operands.arena + plan.between_bytes;
  for (const Pass& pass : plan.passes) {
    if (pass.slices > 1) {
      SlicedRun run(pass, operands, arena, plan.workers, step_ns);
      threads->run(parallel_for, plan.workers, &SlicedRun::work, &run);
    } else {
      const std::vector<float*> addresses = addresses_of(pass, operands, arena, 0);
      execute(*pass.program, Frame(addresses), parallel_for, threads, step_ns);
    }
    if (step_ns != nullptr) step_ns += pass.program->steps.size();
  }
}

}  // namespace sparsecpu
