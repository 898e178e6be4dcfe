// How a row-major tensor moves to and from a lane-blocked one: which load_rows or store_rows calls to make.
// Nothing is stored per call; a RowTransfer is computed when it is needed and serves all channels.
//
//   for row in [begin, end) of plan.rows(), for segment in [0, plan.segments()):
//     RowTransfer t = plan.at(row, segment)
//     row_pointers(t, tensor + t.tensor_offset, pointers)
//     load_rows({t.length, t.count, plan.lane_stride(), plan.outer(), plan.tensor_outer_stride(),
//                plan.lane_outer_stride()}, pointers, fill, lanes + t.lane_offset)
//
// Rows and channels are independent of each other: any split among threads is right.
#pragma once
#include <cstdint>
#include <optional>
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

// One call: 16 rows of tensor elements that are contiguous, lane l's at row_offset[l] (elements from the batch group's
// first image), the first length[l] (0..count) of them inside the image.
struct RowTransfer {
  int64_t row_offset[kLanes];
  int64_t length[kLanes];
  int64_t count;
  int64_t tensor_offset;  // elements from the tensor's start to the batch group's first image
  int64_t lane_offset;    // floats from the lane-blocked tensor's start to the first vector
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

  int64_t groups() const { return geometry_.groups(); }
  int64_t group_rows() const { return row_count_; }
  int64_t group_images(int64_t group) const;
  int64_t image_pixels() const { return geometry_.h * geometry_.w; }
  int64_t tensor_image_stride() const { return strides_.n; }
  int64_t tensor_group_stride() const { return geometry_.lanes_n * strides_.n; }

  // Bytes of small maps move fastest in two steps: four channels' planes become pixels of 32 bits in memory that stays
  // in the L1 cache, [four channels][image of a batch group][pixel], and these become lanes like floats. The second
  // step: this plan for such a "tensor" of kScratchPixels at most, of which one group of images is there at a time.
  // None if four channels do not fit, or if their planes have gaps.
  static constexpr int64_t kScratchPixels = 4096;
  std::optional<TransferPlan> of_pixels() const;

 private:
  Geometry geometry_;
  int64_t position_stride_, channels_;
  TensorStrides strides_;
  Coverage coverage_;
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
