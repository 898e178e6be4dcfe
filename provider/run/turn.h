// One call's turn to compute, among all calls of the process.
#pragma once
#include <cstdint>

namespace sparsecpu {

// More calls at once than CPUs would share these by the scheduler's slices: most calls pass within a slice, some wait
// for the slices of all others, many times as long as they compute. So they wait in line here and compute one after
// another, in the order in which they came. None waits long: the scheduler is fair to those that compute for longer
// than its slices, and whoever has the turn may have lost its CPU to something else.
class Turn {
 public:
  // waits: false for calls so short that sleeping and waking would take a good part of their time.
  Turn(int cpus, bool waits) noexcept;
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  bool crowded() const { return crowded_; }  // there are, or were just now, more calls than CPUs
  int64_t began_ns() const { return began_ns_; }

 private:
  bool is_due() const;
  void wait() const;

  const int cpus_;
  const unsigned number_;  // of calls that came before
  int64_t began_ns_;
  bool crowded_;
};

}  // namespace sparsecpu
