// Steps that look at one pixel at a time: elementwise functions, on lane-blocked tensors and on row-major ones.
#pragma once
#include <variant>
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

// x * scale + shift; one entry a channel, or of row-major tensors one for all.
struct ScaleAndShift {
  std::vector<float> scale, shift;
};
// x < 0 ? x * slope : x; one entry a channel.
struct Slopes {
  std::vector<float> slope;
};
// With another tensor, which lies at a Walk or, row-major, at a TensorRef.
template <class Place>
struct WithOperand {
  BinaryKind kind{};
  Place operand;
  bool operand_first = false;
};

// Functions in order, the first of x, the others of what there is.
class LaneElementwiseStep final : public LanePositionStep {
 public:
  using Function = std::variant<Activation, ScaleAndShift, Slopes, WithOperand<Walk>>;
  std::vector<Function> functions;

 private:
  void compute(const float* in, float* out, PositionRange::At at, const Frame& frame) const noexcept override;
};

// Vectors of one tensor into a range of another's (Concat, Split): x and y are placed at the first one.
class LaneCopyStep final : public LanePositionStep {
 private:
  void compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept override;
};

// The same on row-major tensors of `count` elements.
class FlatStep final : public Step {
 public:
  using Function = std::variant<Activation, ScaleAndShift, WithOperand<TensorRef>>;
  const KernelTable* kernels = nullptr;
  int64_t count = 0;
  TensorRef x, y;
  std::vector<Function> functions;

  void run(int chunk, const Frame& frame) const noexcept override;
};

}  // namespace sparsecpu
