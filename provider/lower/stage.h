// Stages: what remains of a region's Ops after fusion. A stage is one pass over its output.
#pragma once
#include <limits>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "kernels/kernels.h"
#include "ops/op.h"

namespace sparsecpu {

constexpr Clamp kNoClamp{-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity()};
// The same as a function of its own; nothing if it changes nothing.
std::optional<Unary> as_unary(Clamp clamp);

// A sum, difference or product of values with the first input of their stage.
struct WithInput {
  BinaryKind kind = BinaryKind::kMul;
  bool input_first = false;
};
// A function of a stage's values, in their place.
using Follower = std::variant<Unary, Affine, PRelu, WithInput>;

struct LayerPack;

struct Stage {
  Op op;                                    // inputs and output are OpGraph values
  int residual = -1;                        // Linear, QuantizedLinear: value added before the activation
  Clamp clamp;                              // Linear, QuantizedLinear to floats: Relu, Clip
  std::optional<Unary> post;                // of what takes_activation(): an activation that is no clamp
  std::vector<Follower> then;               // Unary, Binary, Affine, PRelu: the functions behind it, in order
  std::vector<float> row_scale, row_shift;  // Linear: a following Affine, one entry an output channel
  // QuantizedLinear to bytes: `residual`, or the sum's constant, is added as QuantizedAdd does it (its operand a, if
  // residual_is_a), then the bytes, as stored, pass through the table. QuantizedAdd, QuantizedMul: the table.
  std::optional<QuantizedAdd> sum;
  bool residual_is_a = false;
  std::optional<std::array<uint8_t, 256>> table;
  // GlobalAverage of floats: what makes them of bytes, on the way.
  struct FromBytes {
    Quantization x;
    std::optional<Unary> activation;
  };
  std::optional<FromBytes> from_bytes;
  // Unary, Binary, Affine, PRelu: on which they have one number a channel; none if they have one for all.
  std::optional<Axes> channel_axes() const;

  std::vector<int> op_indices;            // every Op of the OpGraph that this stage computes
  std::shared_ptr<const LayerPack> pack;  // Linear, QuantizedLinear: once they are packed
};

// The Ops that stages [begin, end) compute, in the order of the OpGraph.
std::vector<int> ops_of(const std::vector<Stage>& stages, size_t begin, size_t end);

// The lookup on bytes as kernels store them (signed ones plus 128).
std::array<uint8_t, 256> stored_table(const Lookup& lookup, bool input_signed);

}  // namespace sparsecpu
