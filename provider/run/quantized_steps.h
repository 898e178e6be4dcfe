// Steps of quantized Conv, MatMul and Gemm, and of pools over bytes.
#pragma once
#include <optional>
#include <vector>

#include "pack/quantized.h"
#include "run/byte_steps.h"
#include "run/linear_steps.h"
#include "run/window_steps.h"

namespace sparsecpu {

// What follows the sums of a quantized layer. Pointers in `output` are set at each call, since a step may be
// moved and a run may have multipliers of its own.
struct QuantizedFinish {
  QuantizedOutput output;
  std::optional<QuantizedSum> sum;
  std::optional<ByteTable> table;
  std::optional<TensorRef> run_bias, run_multiplier;  // DynamicScaleStep's

  QuantizedOutput at(const Frame& frame) const {
    QuantizedOutput now = output;
    if (sum) now.sum = &*sum;
    if (table) now.lookup = table->data();
    if (run_bias) now.bias = reinterpret_cast<const int32_t*>(frame.at(*run_bias));
    if (run_multiplier) now.multiplier = frame.at(*run_multiplier);
    return now;
  }
};

class QSpmmStep final : public LaneLinearStep {
 public:
  const QSpmmWeights* weights = nullptr;
  QuantizedFinish finish_with;
  std::vector<ptrdiff_t> chunk_base;

 private:
  void multiply(int64_t begin, int64_t end, const LaneTile& tile, const Frame& frame) const noexcept override {
    kernels->quantized->spmm(*weights, begin, end, chunk_base.data(), tile, finish_with.at(frame));
  }
};

class QDenseStep final : public LaneLinearStep {
 public:
  const QDenseWeights* weights = nullptr;
  QuantizedFinish finish_with;
  std::vector<ptrdiff_t> offsets;

 private:
  void multiply(int64_t begin, int64_t end, const LaneTile& tile, const Frame& frame) const noexcept override {
    kernels->quantized->dense(*weights, begin, end, offsets.data(), tile, finish_with.at(frame));
  }
};

class QDepthwiseStep final : public ChannelWindowStep {
 public:
  const QDepthwiseWeights* weights = nullptr;
  QuantizedFinish finish_with;

 private:
  void multiply(int64_t begin, int64_t end, const LaneTile& tile, const Frame& frame) const noexcept override {
    kernels->quantized->depthwise(*weights, begin, end, tap_offsets.data(), tile, finish_with.at(frame));
  }
};

class QJitStep final : public JitStep {
 public:
  // The sums of a tile's block stay in the L1 cache. Tiles of 16 would end where blocks of positions do.
  static constexpr int kMaxTile = 15;
  const PackedQJit* packed = nullptr;
  QuantizedFinish finish_with;
  bool finishes = false;  // the code makes the output's bytes

 private:
  void run_blocks(Share blocks, const Tile& tile, const Frame& frame) const noexcept override;
  void run_block(uint32_t block, const Tile& tile, const Frame& frame) const noexcept;
  JitFinish finish_of(const QuantizedOutput& output, uint32_t block) const noexcept;
};

class QFewRowsStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  const QFewRowsWeights* weights = nullptr;
  QuantizedFinish finish_with;
  int64_t m = 0;
  TensorRef x, y;
  std::optional<TensorRef> residual;
  int64_t residual_stride = 0;     // between rows; 0: one row for all
  std::optional<Activation> post;  // floats

  void run(int chunk, const Frame& frame) const noexcept override;
};

class ByteMaxPoolStep final : public PoolStep {
 private:
  void pool(const float* const* taps, int count, const float*, float* out) const noexcept override {
    kernels->quantized->pool_max(taps, count, out, vectors);
  }
};

class ByteAveragePoolStep final : public PoolStep {
 public:
  QuantizeParameters from, to;
  uint8_t sign = 0;

 private:
  void pool(const float* const* taps, int count, const float* pixels, float* out) const noexcept override {
    kernels->quantized->pool_average({from, to, pixels, sign}, taps, count, out, vectors);
  }
};

// QLinearGlobalAveragePool, to a row-major [n, c] of bytes.
class ByteGlobalAverageStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  LaneTensor x;
  int64_t channels = 0;
  TensorRef y;
  std::vector<ptrdiff_t> offsets;
  std::vector<uint16_t> masks;
  int x_zero_point = 0, y_zero_point = 0;  // as stored
  float multiplier = 0;
  uint8_t y_sign = 0;

  void run(int chunk, const Frame& frame) const noexcept override;  // a chunk: a range of vectors
};

}  // namespace sparsecpu
