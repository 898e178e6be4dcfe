// Steps of Conv, MatMul and Gemm.
#pragma once
#include <optional>
#include <vector>

#include "kernels/kernels.h"
#include "pack/jit.h"
#include "run/lane_tensor.h"

namespace sparsecpu {

struct Activation {
  UnaryKind kind;
  float a, b;
};

// What the lane-blocked linear kernels share: tiles of positions x blocks of output channels.
class LaneLinearStep : public Step {
 public:
  const KernelTable* kernels = nullptr;
  PositionRange positions;
  Walk x, y;
  std::optional<Walk> residual;
  Clamp clamp{};
  std::optional<Activation> post;
  int tile = 1;            // positions per kernel call
  int64_t blocks = 1;      // kernel's unit of output channels (pairs, row blocks, channels)
  int64_t block_rows = 1;  // output channels in a block
  int64_t rows = 0;
  int64_t work_per_position = 0;              // multiply-adds of vectors
  int position_chunks = 1, block_chunks = 1;  // chunks = their product

  void run(int chunk, const Frame& frame) const noexcept final;

 private:
  virtual void compute(int64_t block_begin, int64_t block_end, const LaneTile& tile,
                       const Frame& frame) const noexcept = 0;
  LaneTile tile_at(int64_t first, int64_t end, const Frame& frame) const noexcept;
  void finish(int64_t block_begin, int64_t block_end, const LaneTile& tile) const noexcept;
};

class SpmmStep final : public LaneLinearStep {
 public:
  const SpmmWeights* weights = nullptr;
  std::vector<ptrdiff_t> chunk_base;

 private:
  void compute(int64_t begin, int64_t end, const LaneTile& tile, const Frame&) const noexcept override {
    kernels->spmm(*weights, begin, end, chunk_base.data(), tile, clamp);
  }
};

class DenseStep final : public LaneLinearStep {
 public:
  const DenseWeights* weights = nullptr;
  std::vector<ptrdiff_t> offsets;

 private:
  void compute(int64_t begin, int64_t end, const LaneTile& tile, const Frame&) const noexcept override {
    kernels->dense(*weights, begin, end, offsets.data(), tile, clamp);
  }
};

class DepthwiseStep final : public LaneLinearStep {
 public:
  const DepthwiseWeights* weights = nullptr;
  std::vector<ptrdiff_t> tap_offsets;

 private:
  void compute(int64_t begin, int64_t end, const LaneTile& tile, const Frame&) const noexcept override {
    kernels->depthwise(*weights, begin, end, tap_offsets.data(), tile, clamp);
  }
};

// Generated code computes one position at a time, so the pieces of a layer (which stay in the instruction cache)
// are the outer loop and a tile's positions (whose inputs stay in the L2 cache) the inner one.
class JitStep : public Step {
 public:
  static constexpr int kMaxPositions = 64;  // in a tile
  const KernelTable* kernels = nullptr;
  const PackedJit* code = nullptr;
  PositionRange positions;
  Walk x, y;
  std::optional<Walk> residual;
  std::optional<Activation> post;
  std::vector<ptrdiff_t> row_base;  // of each kernel row, in floats from the first tap
  int tile = 1;
  int64_t rows = 0;
  int position_chunks = 1, block_chunks = 1;

  void run(int chunk, const Frame& frame) const noexcept final;

 protected:
  struct Tile {
    int positions = 0;
    const float* x[kMaxPositions];
    float* y[kMaxPositions];
    const float* residual[kMaxPositions];
  };
  int64_t first_row(uint32_t block) const;
  // Segment s for every position: sums from and to out[p], addend[p] (or null) added at the start.
  void run_segment(uint32_t s, const Tile& tile, float* const* out, const float* const* addend) const noexcept;

 private:
  virtual void run_block(uint32_t block, const Tile& tile, const Frame& frame) const noexcept = 0;
  void gather(int64_t first, int64_t end, const Frame& frame, Tile* tile) const noexcept;
};

class FloatJitStep final : public JitStep {
 private:
  void run_block(uint32_t block, const Tile& tile, const Frame& frame) const noexcept override;
};

// Row-major, few rows: y[m, rows] = x[m, k] W.
class FewRowsStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  const FewRowsWeights* weights = nullptr;
  int64_t m = 0;
  TensorRef x, y;
  std::optional<TensorRef> residual;
  Clamp clamp{};
  std::optional<Activation> post;

  void run(int chunk, const Frame& frame) const noexcept override;
};

}  // namespace sparsecpu
