#include "plugin/region_times.h"

namespace sparsecpu {

void RegionTimes::turn(bool on) {
  if (on) {
    for (std::vector<Counter>* counters : {&op_ns_, &layout_ns_, &multiply_adds_}) {
      for (Counter& counter : *counters) counter.store(0, std::memory_order_relaxed);
    }
    whole_ns_.store(0, std::memory_order_relaxed);
    runs_.store(0, std::memory_order_relaxed);
  }
  on_.store(on, std::memory_order_relaxed);
}

void RegionTimes::add(const Plan& plan, const std::vector<int64_t>& step_ns, int64_t whole_ns) {
  size_t s = 0;
  for (const Pass& pass : plan.passes) {
    for (const auto& step : pass.program->steps) {
      const size_t op = static_cast<size_t>(step->op);
      Counter& counter = step->layout == LayoutChange::kNone ? op_ns_[op] : layout_ns_[slot(op, step->layout)];
      int64_t own = step_ns[s++];
      const auto all = static_cast<double>(own);
      for (const auto& [other, share] : step->other_ops) {
        const auto part = static_cast<int64_t>(share * all);
        op_ns_[static_cast<size_t>(other)].fetch_add(part, std::memory_order_relaxed);
        own -= part;
      }
      counter.fetch_add(own, std::memory_order_relaxed);
    }
  }
  for (size_t op = 0; op < multiply_adds_.size(); ++op) {
    multiply_adds_[op].fetch_add(static_cast<int64_t>(plan.multiply_adds[op]), std::memory_order_relaxed);
  }
  whole_ns_.fetch_add(whole_ns, std::memory_order_relaxed);
  runs_.fetch_add(1, std::memory_order_relaxed);
}

double RegionTimes::average(const Counter& sum) const {
  const auto count = static_cast<double>(runs());
  return count > 0 ? static_cast<double>(sum.load(std::memory_order_relaxed)) / count : 0.0;
}

}  // namespace sparsecpu
