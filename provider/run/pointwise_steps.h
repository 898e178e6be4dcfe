// Steps that look at one pixel at a time: elementwise functions, on lane-blocked tensors and on row-major ones.
#pragma once
#include <optional>
#include <vector>

#include "kernels/kernels.h"
#include "run/lane_tensor.h"
#include "run/linear_steps.h"

namespace sparsecpu {

// Lane-blocked: f(position) for every output position. A chunk is a range of positions.
class LanePositionStep : public Step {
 public:
  const KernelTable* kernels = nullptr;
  PositionRange positions;
  int64_t vectors = 0;  // at a position
  Walk x, y;

  void run(int chunk, const Frame& frame) const noexcept final;

 private:
  virtual void compute(const float* x, float* y, PositionRange::At at, const Frame& frame) const noexcept = 0;
};

class LaneUnaryStep final : public LanePositionStep {
 public:
  Activation function{};

 private:
  void compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept override {
    kernels->unary(function.kind, function.a, function.b, in, out, vectors * kLanes);
  }
};

class LaneBinaryStep final : public LanePositionStep {
 public:
  BinaryKind kind{};
  Walk second;
  std::optional<Activation> post;

 private:
  void compute(const float* in, float* out, PositionRange::At at, const Frame& frame) const noexcept override;
};

class LaneAffineStep final : public LanePositionStep {
 public:
  std::vector<float> scale, shift;  // one entry a channel

 private:
  void compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept override {
    kernels->affine(scale.data(), shift.data(), in, out, vectors);
  }
};

// Vectors of one tensor into a range of another's (Concat, Split): x and y are placed at the first one.
class LaneCopyStep final : public LanePositionStep {
 private:
  void compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept override;
};

// Row-major tensors of `count` elements. Without `second` a unary step.
class FlatStep final : public Step {
 public:
  enum class Kind { kUnary, kBinary } what = Kind::kUnary;
  const KernelTable* kernels = nullptr;
  int64_t count = 0;
  TensorRef x, second, y;
  BinaryKind binary{};
  std::optional<Activation> function;  // kUnary; kBinary: applied to the result

  void run(int chunk, const Frame& frame) const noexcept override;
};

}  // namespace sparsecpu
