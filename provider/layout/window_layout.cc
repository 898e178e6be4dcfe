#include "layout/window_layout.h"

#include <algorithm>

#include "base/memory.h"

namespace sparsecpu {
namespace {

// Halos up to this are shared between windows and filled by the step that computes the tensor: they are cheap.
constexpr int64_t kMostReach = 32;

// Numbers the taps that are inside an image of `size` pixels for some of `outputs`; -1: none. Returns how many are.
int64_t rank_taps(const WindowAxis& axis, int64_t size, int64_t outputs, std::vector<int64_t>* rank) {
  int64_t live = 0;
  for (int64_t tap = 0; tap < axis.kernel; ++tap) {
    const int64_t first = tap * axis.dilation - axis.before;  // pixel under it at output 0
    const int64_t output = first < 0 ? ceil_div(-first, axis.stride) : 0;
    const bool inside = output < outputs && first + output * axis.stride < size;
    rank->push_back(inside ? live++ : -1);
  }
  return live;
}

std::vector<int64_t> pixels_under(const WindowAxis& axis, int64_t tap, int64_t outputs) {
  std::vector<int64_t> pixels;
  for (int64_t o = 0; o < outputs; ++o) pixels.push_back(o * axis.stride - axis.before + tap * axis.dilation);
  return pixels;
}

void append(PermutePlan* plan, const PermutePlan& more, int64_t destination) {
  const auto first = checked_index(plan->sources.size());
  plan->sources.insert(plan->sources.end(), more.sources.begin(), more.sources.end());
  for (LaneCopy copy : more.copies) {
    copy.destination += destination;
    copy.first_source += first;
    plan->copies.push_back(copy);
  }
}

}  // namespace

bool taps_lie_apart(const WindowAxis& rows, const WindowAxis& columns) {
  const auto apart = [](const WindowAxis& axis) { return axis.dilation > 1 && axis.reach() > kMostReach; };
  return apart(rows) || apart(columns);
}

WindowLayout::WindowLayout(const Geometry& out, int64_t h, int64_t w, const WindowAxis& rows, const WindowAxis& columns)
    : out_(out), aligned_(out), rows_(rows), columns_(columns) {
  aligned_.h = h;
  aligned_.w = w;
  aligned_.step_h = checked_mul(out.step_h, rows.stride);
  aligned_.step_w = checked_mul(out.step_w, columns.stride);
  aligned_.origin_h = -rows.before;
  aligned_.origin_w = -columns.before;
  aligned_.grid_h = checked_mul(out.step_h - 1, rows.stride) + rows.reach() + 1;
  aligned_.grid_w = checked_mul(out.step_w - 1, columns.stride) + columns.reach() + 1;
  const int64_t live_rows = rank_taps(rows, h, out.h, &row_rank_);
  live_columns_ = rank_taps(columns, w, out.w, &column_rank_);
  live_ = live_rows * live_columns_;
  gathers_ = taps_lie_apart(rows, columns) && gathered_positions() < aligned_positions();
}

bool WindowLayout::reads_pixels_only() const {
  const auto inside = [](const WindowAxis& axis, int64_t size, int64_t outputs) {
    return axis.before <= 0 && (outputs - 1) * axis.stride - axis.before + axis.reach() < size;
  };
  return inside(rows_, aligned_.h, out_.h) && inside(columns_, aligned_.w, out_.w);
}

int64_t WindowLayout::slot(int64_t row, int64_t column) const {
  const int64_t r = row_rank_[static_cast<size_t>(row)], c = column_rank_[static_cast<size_t>(column)];
  return r < 0 || c < 0 ? live_ : r * live_columns_ + c;
}

PermutePlan WindowLayout::gather(const Geometry& source, int64_t source_stride, int64_t stride,
                                 int64_t slot_step) const {
  PermutePlan plan;
  const auto add = [&](int64_t slot, const PixelMap& map) {
    const PermutePlan one = plan_relayout(source, source_stride, out_, stride, map);
    plan.repeats = one.repeats;
    plan.source_step = one.source_step;
    plan.destination_step = one.destination_step;
    append(&plan, one, slot * slot_step);
  };
  for (int64_t row = 0; row < rows_.kernel; ++row) {
    for (int64_t column = 0; column < columns_.kernel; ++column) {
      const int64_t at = slot(row, column);
      if (at < live_) add(at, {{0, pixels_under(rows_, row, out_.h)}, {0, pixels_under(columns_, column, out_.w)}});
    }
  }
  const std::vector<int64_t> outside(static_cast<size_t>(out_.h), -1);
  if (slots() > live_) add(live_, {{0, outside}, {}});
  return plan;
}

}  // namespace sparsecpu
