// Steps that pool over windows or over the whole image.
#pragma once
#include <vector>

#include "kernels/kernels.h"
#include "run/lane_tensor.h"

namespace sparsecpu {

class PoolStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  PositionRange positions;
  int64_t channels = 0;
  Walk x, y;                                // x: the first tap of each window
  std::vector<ptrdiff_t> taps;              // in floats from the first tap
  bool average = false;
  // Average: pixels that the window of output row (lane block row, grid row) covers, and likewise columns;
  // index block*positions.rows + row. The divisor of a lane is rows_covered * columns_covered.
  Geometry geometry;                        // of the output
  std::vector<float> rows_covered, columns_covered;

  void run(int chunk, const Frame& frame) const noexcept override;

 private:
  void lane_scale(PositionRange::At at, float* scale) const noexcept;
};

// Mean over h and w, to a row-major [n, c].
class GlobalAverageStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  LaneTensor x;
  TensorRef y;
  std::vector<ptrdiff_t> offsets;           // of the pixels' positions in a batch group
  std::vector<uint16_t> masks;              // lanes that hold a pixel there

  void run(int chunk, const Frame& frame) const noexcept override;  // a chunk: a range of channels
};

}  // namespace sparsecpu
