// Measured times of one fused region: sums over the runs since measuring was turned on. Off, a run pays one load.
#pragma once
#include <atomic>
#include <vector>

#include "run/plan.h"

namespace sparsecpu {

// Atomic counters without a lock: any number of runs add to them while a report reads.
class RegionTimes {
 public:
  explicit RegionTimes(size_t ops) : op_ns_(ops), layout_ns_(ops * kLayoutChanges), multiply_adds_(ops) {}

  bool on() const { return on_.load(std::memory_order_relaxed); }
  // Turning it on starts afresh. Runs that are under way may be counted in part.
  void turn(bool on);
  // step_ns: of every step, as execute() measures them. whole_ns: of the call, planning and waking included.
  void add(const Plan& plan, const std::vector<int64_t>& step_ns, int64_t whole_ns);

  int64_t runs() const { return runs_.load(std::memory_order_relaxed); }
  // Of an average run; 0 without runs. Microseconds; op_us: of the step that computes this Op first, or its share.
  double whole_us() const { return 1e-3 * average(whole_ns_); }
  double op_us(size_t op) const { return 1e-3 * average(op_ns_[op]); }
  double layout_us(size_t op, LayoutChange change) const { return 1e-3 * average(layout_ns_[slot(op, change)]); }
  // At the shapes that ran, zero weights included.
  double multiply_adds(size_t op) const { return average(multiply_adds_[op]); }

 private:
  using Counter = std::atomic<int64_t>;
  static size_t slot(size_t op, LayoutChange change) { return op * kLayoutChanges + static_cast<size_t>(change); }
  double average(const Counter& sum) const;

  std::atomic<bool> on_{false};
  Counter runs_{0}, whole_ns_{0};
  std::vector<Counter> op_ns_, layout_ns_, multiply_adds_;
};

}  // namespace sparsecpu
