// The worker loop: a Program on the threads of a session.
#pragma once
#include <cstdint>

#include "run/program.h"
#include "run/session_threads.h"

namespace sparsecpu {

// Runs every step in order. The workers that the Program was planned for walk the steps together: each takes the chunks
// of its own share of a step one by one, then helps with what is left of others' shares; step s+1 starts when every
// chunk of s is done. Free of deadlock on any pool, also when one thread is every worker in turn.
// If step_ns is given (steps.size()), it receives the time from one step's end to the next's, measured by the first
// worker.
void execute(const Program& program, const Frame& frame, const ParallelFor& parallel_for, SessionThreads* threads,
             int64_t* step_ns = nullptr);

}  // namespace sparsecpu
