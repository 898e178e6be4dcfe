// Steps that pool over windows or over the whole image.
#pragma once
#include <optional>
#include <vector>

#include "kernels/quantized.h"
#include "layout/window_layout.h"
#include "run/lane_step.h"

namespace sparsecpu {

// Pools; the subclasses say over what.
class PoolStep : public Step {
 public:
  const KernelTable* kernels = nullptr;
  PositionRange positions;
  int64_t vectors = 0;          // in a position
  Walk x, y;                    // x: the first tap of each window
  std::vector<ptrdiff_t> taps;  // in floats from the first tap; at most kMostPooledPixels
  // Averages: pixels that the window of output row (lane block row, grid row) covers, and likewise columns;
  // index block*positions.rows + row. A lane's window has rows_covered * columns_covered pixels.
  Geometry geometry;  // of the output
  std::vector<float> rows_covered, columns_covered;

  void run(int chunk, const Frame& frame) const noexcept final;

 private:
  // pixels: how many each lane's window covers (averages).
  virtual void pool(const float* const* taps, int count, const float* pixels, float* out) const noexcept = 0;
  void pixels_covered(PositionRange::At at, float* pixels) const noexcept;
};

class MaxPoolStep final : public PoolStep {
 private:
  void pool(const float* const* taps, int count, const float*, float* out) const noexcept override {
    kernels->pool_max(taps, count, out, vectors * kLanes);
  }
};

class AveragePoolStep final : public PoolStep {
 private:
  void pool(const float* const* taps, int count, const float* pixels, float* out) const noexcept override;
};

// Mean over h and w, to a row-major [n, c].
class GlobalAverageStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  LaneTensor x;
  TensorRef y;
  int64_t channels = 0;
  std::vector<ptrdiff_t> offsets;  // of the pixels' positions in a batch group
  std::vector<uint16_t> masks;     // lanes that hold a pixel there

  // x is bytes. A few channels at a time become floats in the scratch memory (of `chunks` parts), position by position.
  struct FromBytes {
    QuantizeParameters parameters;
    std::optional<Activation> activation;
    TensorRef scratch;
    std::vector<ptrdiff_t> offsets;  // of positions in a part of it
  };
  static constexpr int64_t kChannelsOfBytes = 8;
  std::optional<FromBytes> from_bytes;

  void run(int chunk, const Frame& frame) const noexcept override;  // a chunk: a range of vectors

 private:
  void dequantize(const float* in, int64_t count, float* scratch) const noexcept;
  void average_images(const float* sums, int64_t group, int64_t begin, int64_t end, const Frame& frame) const noexcept;
};

}  // namespace sparsecpu
