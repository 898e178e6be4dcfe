// Steps of Conv, MatMul and Gemm.
#pragma once
#include <algorithm>
#include <vector>

#include "pack/jit.h"
#include "run/lane_step.h"

namespace sparsecpu {

// What the lane-blocked linear kernels share. A unit is a kernel's block of output channels.
class LaneLinearStep : public LaneStep {
 public:
  Clamp clamp{};
  int64_t blocks = 1;
  int64_t block_rows = 1;         // output channels in a block
  int64_t work_per_position = 0;  // multiply-adds of vectors

  int64_t units() const override { return blocks; }
  int64_t first_row(int64_t unit) const override { return std::min(unit * block_rows, rows); }
  int64_t multiplies() const override { return work_per_position * positions.count(); }

 private:
  virtual void multiply(int64_t block_begin, int64_t block_end, const LaneTile& tile,
                        const Frame& frame) const noexcept = 0;
  void compute_tile(Share positions, Share units, const Frame& frame) const noexcept override;
};

class SpmmStep final : public LaneLinearStep {
 public:
  const SpmmWeights* weights = nullptr;
  std::vector<ptrdiff_t> chunk_base;

 private:
  void multiply(int64_t begin, int64_t end, const LaneTile& tile, const Frame&) const noexcept override {
    kernels->spmm(*weights, begin, end, chunk_base.data(), tile, clamp);
  }
};

class DenseStep final : public LaneLinearStep {
 public:
  const DenseWeights* weights = nullptr;
  std::vector<ptrdiff_t> offsets;

 private:
  void multiply(int64_t begin, int64_t end, const LaneTile& tile, const Frame&) const noexcept override {
    kernels->dense(*weights, begin, end, offsets.data(), tile, clamp);
  }
};

// A step whose windows pass over one channel at a time.
class ChannelWindowStep : public LaneLinearStep {
 public:
  std::vector<ptrdiff_t> tap_offsets;
};

class DepthwiseStep final : public ChannelWindowStep {
 public:
  const DepthwiseWeights* weights = nullptr;

 private:
  void multiply(int64_t begin, int64_t end, const LaneTile& tile, const Frame&) const noexcept override {
    kernels->depthwise(*weights, begin, end, tap_offsets.data(), tile, clamp);
  }
};

// Generated code computes one position at a time, so the pieces of a layer (which stay in the instruction cache)
// are the outer loop and a tile's positions (whose inputs stay in the L2 cache) the inner one.
class JitStep : public LaneStep {
 public:
  static constexpr int kMaxPositions = 64;  // in a tile
  const PackedJit* code = nullptr;
  std::vector<ptrdiff_t> row_base;  // of each kernel row, in floats from the first tap
  int least_positions = 8;          // for which a worker fetches all code

  int64_t units() const override { return code->blocks(); }
  int64_t first_row(int64_t block) const override;
  int64_t multiplies() const override { return code->nonzeros * positions.count(); }
  void prefetch(int chunk) const noexcept override;  // the first segment, which no segment before it brings in

 protected:
  struct Tile {
    int positions = 0;
    const float* x[kMaxPositions];
    float* y[kMaxPositions];
    const float* residual[kMaxPositions];

    // A prefetcher that follows the positions runs on past the last one. In the lower half of the image they are taken
    // backwards, so that it does not take lines from the worker that is about to write the upper half.
    void reverse();
  };
  // Segment s for every position: sums from and to out[p], with its residual (or null) and what finish_at(p) gives.
  // The memory of segment `following`, if there is one, is brought in meanwhile: by the code, as many lines a call as
  // it was made for, and what so few positions leave by this loop.
  template <class FinishAt>
  void run_segment(size_t s, size_t following, const Tile& now, float* const* out, const float* const* residual,
                   const FinishAt& finish_at) const noexcept {
    const JitSegment& segment = code->segments[s];
    const bool is_last = following >= code->segments.size();
    const JitSegment& next = code->segments[is_last ? s : following];
    const size_t most = is_last ? 0 : next.bytes;
    const size_t step = static_cast<size_t>(segment.prefetch_lines) * kCacheLine;
    const size_t left = most - std::min(most, step * static_cast<size_t>(now.positions));
    const size_t extra = left / static_cast<size_t>(now.positions);
    size_t at = 0;
    for (int p = 0; p < now.positions; ++p) {
      bring(next, at, at + extra);
      at += extra;
      const std::byte* ahead = at < most ? code_of(next) + at : code_of(segment);
      segment.run(now.x[p], out[p], residual[p], row_base.data(), ahead, finish_at(p));
      at += step;
    }
  }

 private:
  static const std::byte* code_of(const JitSegment& segment) { return reinterpret_cast<const std::byte*>(segment.run); }
  static void bring(const JitSegment& segment, size_t begin, size_t end) {
    for (size_t at = begin; at < end; at += kCacheLine) __builtin_prefetch(code_of(segment) + at, 0, 2);
  }
  virtual void run_blocks(Share blocks, const Tile& tile, const Frame& frame) const noexcept = 0;
  void compute_tile(Share positions, Share units, const Frame& frame) const noexcept override;
};

class FloatJitStep final : public JitStep {
 public:
  // For inputs of a tile that do not fit the L2 cache: all blocks use a part of them before the next. The output
  // carries the sums.
  bool part_by_part = false;

 private:
  void run_blocks(Share blocks, const Tile& tile, const Frame& frame) const noexcept override;
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
