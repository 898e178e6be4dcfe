// What a region runs for one set of input shapes: passes one after another, each a Program for the whole batch or for
// one slice of it at a time.
#pragma once
#include <memory>
#include <vector>

#include "run/program.h"
#include "run/session_threads.h"

namespace sparsecpu {

// A tensor that a pass reads or writes: the region's, or one that lies between passes.
struct Port {
  enum class Kind { kInput, kOutput, kBetween } kind = Kind::kInput;
  size_t index = 0;         // of the region's input or output
  int64_t offset = 0;       // kBetween: bytes in the arena
  int64_t slice_bytes = 0;  // from one slice's part to the next
};

// Several slices: each is computed by one worker on its own, in an arena of its own that stays in the core's cache; no
// worker waits for another. The Program is then planned for one worker.
struct Pass {
  std::unique_ptr<const Program> program;
  int64_t slices = 1;
  std::vector<Port> inputs, outputs;  // of the Program
};

struct Plan {
  std::vector<std::vector<int64_t>> input_shapes;  // of the region: those that it was made for
  int workers = 1;                                 // that it was made for
  std::vector<Pass> passes;
  std::vector<std::vector<int64_t>> output_shapes;  // of the region
  std::vector<double> multiply_adds;                // of each Op of the region, zero weights included
  size_t between_bytes = 0;                         // at the start of the arena
  size_t arena_bytes = 0;                           // with those of all workers

  size_t steps() const;       // of all passes
  size_t plan_bytes() const;  // about: of the steps and their tables
};

// The region's operands in one call; tensors are row-major, inputs are only read.
struct Operands {
  std::byte* arena = nullptr;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
};

// step_ns: null, or the time of every step of every pass in turn, as execute(Program) gives it; of a pass of slices, as
// the first worker sees it in all its slices.
void execute(const Plan& plan, const Operands& operands, const ParallelFor& parallel_for, SessionThreads* threads,
             int64_t* step_ns = nullptr);

}  // namespace sparsecpu
