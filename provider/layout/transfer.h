// How a row-major tensor moves to and from a lane-blocked one: which load_rows or store_rows calls to make.
// Nothing is stored per call; a RowTransfer is computed when it is needed and serves all channels.
//
//   for row in [begin, end) of plan.rows(), for segment in [0, plan.segments()):
//     RowTransfer t = plan.at(row, segment)
//     for c in [0, plan.outer()):
//       row_pointers(t, tensor + c * plan.tensor_outer_stride(), pointers)
//       load_rows(pointers, t.length, t.count, fill, lanes + t.lane_offset + c * plan.lane_outer_stride(),
//                 plan.lane_stride())
//
// Rows are independent of each other: any split among threads is right.
#pragma once
#include <cstdint>
#include <vector>

#include "layout/geometry.h"

namespace sparsecpu {

// Element strides of a tensor whose element (image, channel, y, x) lies at
// image * n + channel * c + y * h + x * w.
struct TensorStrides {
  int64_t n = 0, c = 0, h = 0, w = 0;
};

enum class Coverage {
  kWholeGrid,  // import: all positions, halo included
  kCanonical,  // export: every pixel once; or an import whose halo plan_halo() completes
};

// One call: 16 rows of tensor elements that are contiguous, lane l's at row_offset[l] (elements from the
// tensor's start), the first length[l] (0..count) of them inside the image.
struct RowTransfer {
  int64_t row_offset[kLanes];
  int64_t length[kLanes];
  int64_t count;
  int64_t lane_offset;  // floats from the lane-blocked tensor's start to the first vector
};

class TransferPlan {
 public:
  // `channels` channels; position_stride in floats. Runs go along x where that is contiguous; along the channels
  // (tokens, NHWC), over several pixels at once where both sides store them without gaps; else they are single
  // elements.
  TransferPlan(const Geometry& geometry, int64_t position_stride, int64_t channels, const TensorStrides& strides,
               Coverage coverage);

  int64_t rows() const { return geometry_.groups() * row_count_; }
  int64_t segments() const { return static_cast<int64_t>(segment_begin_.size()) - 1; }
  bool along_channels() const { return along_channels_; }
  int64_t outer() const { return channels_ / run_channels_; }
  int64_t tensor_outer_stride() const { return strides_.c; }
  int64_t lane_outer_stride() const { return kLanes; }
  int64_t lane_stride() const { return along_channels_ ? kLanes : position_stride_; }
  RowTransfer at(int64_t row, int64_t segment) const;

 private:
  Geometry geometry_;
  int64_t position_stride_, channels_;
  TensorStrides strides_;
  bool along_channels_;
  int64_t run_channels_;                // channels of a pixel in one run: all or one
  int64_t first_row_, row_count_;       // grid rows of a batch group
  std::vector<int64_t> segment_begin_;  // grid columns; the last entry is the end
};

// The pointers of a call; null where nothing is to be read or written. T is float or const float.
template <class T>
void row_pointers(const RowTransfer& transfer, T* tensor, T* (&rows)[kLanes]) {
  for (int l = 0; l < kLanes; ++l) rows[l] = transfer.length[l] > 0 ? tensor + transfer.row_offset[l] : nullptr;
}

}  // namespace sparsecpu
