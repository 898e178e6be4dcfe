#include "layout/transfer.h"

#include <algorithm>

#include "base/memory.h"

namespace sparsecpu {
namespace {

// Cuts the grid columns [begin, end) where a lane enters the image from the left, so that in each segment a
// lane's row starts inside the image or is outside from its start. Without a halo that is one segment.
std::vector<int64_t> cut_columns(const Geometry& g, int64_t begin, int64_t end) {
  std::vector<int64_t> cuts{begin, end};
  for (int block_w = 0; block_w < g.lanes_w; ++block_w) {
    const int64_t entry = -g.origin_w - block_w * g.step_w;
    if (entry > begin && entry < end) cuts.push_back(entry);
  }
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

std::vector<int64_t> every_column(int64_t begin, int64_t end) {
  std::vector<int64_t> cuts;
  for (int64_t column = begin; column <= end; ++column) cuts.push_back(column);
  return cuts;
}

}  // namespace

TransferPlan::TransferPlan(const Geometry& geometry, int64_t position_stride, int64_t channels,
                           const TensorStrides& strides, Coverage coverage)
    : geometry_(geometry),
      position_stride_(position_stride),
      channels_(channels),
      strides_(strides),
      coverage_(coverage) {
  const bool whole = coverage == Coverage::kWholeGrid;
  // A grid may end before its step does (the input of a strided 1x1 convolution).
  const int64_t end_row = whole ? geometry.grid_h : std::min(geometry.grid_h, geometry.step_h - geometry.origin_h);
  const int64_t end_column = whole ? geometry.grid_w : std::min(geometry.grid_w, geometry.step_w - geometry.origin_w);
  const int64_t first_column = whole ? 0 : -geometry.origin_w;
  first_row_ = whole ? 0 : -geometry.origin_h;
  row_count_ = end_row - first_row_;
  // Bytes of one channel are no run along it: each pixel is a whole vector of four bytes a lane.
  along_channels_ = channels > 1 && strides.c == 1 && (strides.w != 1 || geometry.w == 1);
  run_channels_ = along_channels_ ? channels : 1;
  const bool pixels_without_gaps = strides.w == channels && position_stride == channels * kLanes;
  const bool along_columns = along_channels_ ? pixels_without_gaps : strides.w == 1;
  segment_begin_ =
      along_columns ? cut_columns(geometry, first_column, end_column) : every_column(first_column, end_column);
}

int64_t TransferPlan::group_images(int64_t group) const {
  return std::min<int64_t>(geometry_.lanes_n, geometry_.n - group * geometry_.lanes_n);
}

std::optional<TransferPlan> TransferPlan::of_pixels() const {
  const bool planes_without_gaps = !along_channels_ && strides_.w == 1 && strides_.h == geometry_.w;
  const int64_t image = round_up(image_pixels(), kLanes), channel = geometry_.lanes_n * image;
  if (!planes_without_gaps || channel == 0 || channel > kScratchPixels) return std::nullopt;
  return TransferPlan(geometry_, position_stride_, ceil_div(channels_, 4), {image, channel, geometry_.w, 1}, coverage_);
}

RowTransfer TransferPlan::at(int64_t row, int64_t segment) const {
  const Geometry& g = geometry_;
  const int64_t group = row / row_count_, grid_row = first_row_ + row % row_count_;
  const int64_t column = segment_begin_[static_cast<size_t>(segment)];
  const int64_t columns = segment_begin_[static_cast<size_t>(segment) + 1] - column;
  RowTransfer t{};
  t.count = columns * run_channels_;
  t.tensor_offset = group * g.lanes_n * strides_.n;
  t.lane_offset = ((group * g.grid_h + grid_row) * g.grid_w + column) * position_stride_;
  for (int i = 0; i < g.lanes_n; ++i) {
    if (group * g.lanes_n + i >= g.n) break;
    for (int block_h = 0; block_h < g.lanes_h; ++block_h) {
      const int64_t y = block_h * g.step_h + g.origin_h + grid_row;
      if (y < 0 || y >= g.h) continue;
      for (int block_w = 0; block_w < g.lanes_w; ++block_w) {
        const int64_t x = block_w * g.step_w + g.origin_w + column;
        if (x < 0 || x >= g.w) continue;
        const int lane = g.lane(i, block_h, block_w);
        t.length[lane] = std::min(columns, g.w - x) * run_channels_;
        t.row_offset[lane] = i * strides_.n + y * strides_.h + x * strides_.w;
      }
    }
  }
  return t;
}

}  // namespace sparsecpu
