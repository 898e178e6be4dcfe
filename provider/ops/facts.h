// What every op says of itself. Who prices, plans or groups ops asks them, and asks none which op it is.
#pragma once
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "ops/dims.h"
#include "ops/window.h"

namespace sparsecpu {

// How a tensor's axes map to (image, channel, row, column).
//   kImage:  [n, c], [n, c, w] or [n, c, h, w]
//   kTokens: [..., c]: the last axis is the channel, everything before it counts tokens
enum class Axes { kImage, kTokens };

// What an op is to its price.
enum class Work {
  kLayer,      // multiply-adds with constant weights
  kAttention,  // products of activations
  kNorm,       // statistics of the values, then a pass
  kRename,     // the same elements in the same order
  kWindow,     // every output value reads the pixels under a window
  kFunction,   // a pass with a transcendental function
  kQuotient,   // one that the CPU provider computes as a quotient of polynomials: Sigmoid, Tanh
  kPass,       // values are read, changed a little or moved, and written
};

// How often an op with statistics reads or writes each of its values, and in how many calls: on the CPU provider nodes,
// here steps beside the first.
struct Moves {
  struct Side {
    int values = 0, calls = 0;
  };
  Side here, cpu;
};

// Channels that the first input has to have: with any others, the CPU provider does not run the op either.
struct NeededChannels {
  Axes axes = Axes::kImage;
  int64_t count = 0;
};

// A window that the first input is laid out for.
struct WindowUse {
  Window window;
  bool bytes = false;                  // over bytes
  std::optional<int64_t> most_pixels;  // that are supported under it; unset: any number
};

// What a layer over tokens makes of a vector: MatMul a vector, Gemm a matrix of one token.
enum class OfVector { kRefused, kVector, kMatrix };

// A layer with constant weights, of floats or of bytes, but for the weights.
struct LinearShape {
  Axes axes = Axes::kImage;
  int64_t in_channels = 0, out_channels = 0, groups = 1, taps = 1;
  Window window;
  bool transposed_input = false;         // x is [c, tokens]
  int64_t weight_bytes = sizeof(float);  // of one
  OfVector of_vector = OfVector::kRefused;
};

using Shapes = std::vector<Shape>;

// A fact that an op leaves out is a compile error in op.h: none has a default.
template <class T>
concept OpFacts = requires(const T& op, const Shapes& inputs, ElementType type) {
  // Of this kind of op, as tests name it; of what computes it, as reports name it.
  { T::op_name() } -> std::same_as<const char*>;
  { op.kernel() } -> std::same_as<const char*>;
  // Inputs that it cannot do without.
  { op.operands() } -> std::same_as<size_t>;
  // Of its output, row-major, for inputs of concrete sizes. Throws Error where they do not fit.
  { op.shape(inputs) } -> std::same_as<Shape>;
  // Element type of its output, given that of its first input.
  { op.result_type(type) } -> std::same_as<ElementType>;
  // Whether that says everything: the scale of a dynamic quantization travels with the bytes.
  { op.scale_travels() } -> std::same_as<bool>;
  // That it gives to its input and output; unset: any, or as they come. Whether they then pass through it.
  { op.own_axes() } -> std::same_as<std::optional<Axes>>;
  { op.keeps_axes() } -> std::same_as<bool>;
  { op.needed_channels() } -> std::same_as<std::optional<NeededChannels>>;
  // Whether it computes each image of a batch for itself.
  { op.keeps_images_apart() } -> std::same_as<bool>;
  // Whether the kernel of the op before it computes it in passing.
  { op.fuses() } -> std::same_as<bool>;
  // Whether the kernel that computes it computes an activation behind it in passing.
  { op.takes_activation() } -> std::same_as<bool>;
  { op.work() } -> std::same_as<Work>;
  // Work::kNorm alone.
  { op.moves() } -> std::same_as<std::optional<Moves>>;
  { op.window_use() } -> std::same_as<std::optional<WindowUse>>;
  { op.layer() } -> std::same_as<std::optional<LinearShape>>;
};

constexpr ElementType byte_type(bool is_signed) { return is_signed ? ElementType::kInt8 : ElementType::kUint8; }

// Shared by shape functions: each throws Error saying what was found and what is expected. ---------------------------

void expect_rank(const Shape& shape, size_t least, size_t most);
void expect_channels(const Shape& shape, size_t axis, int64_t channels);
size_t channel_axis(Axes axes, const Shape& shape);
// The shape to which the first two broadcast.
Shape common_shape(const Shapes& inputs);

}  // namespace sparsecpu
