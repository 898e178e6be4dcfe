// What a claimed node means: the vocabulary between claim/ (which recognises ONNX nodes) and lower/
// (which runs them). One Op is one mathematical step on float tensors; several may stand for one node.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/elementwise.h"
#include "base/weight_view.h"

namespace sparsecpu {

// How a tensor's axes map to (image, channel, row, column).
//   kImage:  [n, c], [n, c, w] or [n, c, h, w]
//   kTokens: [..., c]: the last axis is the channel, everything before it counts tokens
enum class Axes { kImage, kTokens };

enum class AutoPad { kNotSet, kValid, kSameUpper, kSameLower };

// Sliding window over (h, w); 1-D windows have kernel[0] = 1. Order of pads: top, left, bottom, right.
struct Window {
  std::array<int64_t, 2> kernel{1, 1}, stride{1, 1}, dilation{1, 1};
  std::array<int64_t, 4> pads{0, 0, 0, 0};
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;                   // pools only
};

// Conv, or MatMul/Gemm as a 1x1 convolution over tokens. inputs: {x}.
struct Linear {
  Axes axes = Axes::kImage;
  int64_t in_channels = 0, out_channels = 0, groups = 1;
  Window window;
  WeightView weight;
  std::vector<float> bias;                  // out_channels, or empty
  bool transposed_input = false;            // Gemm transA: x is [c, tokens]
};

// Elementwise. inputs: {x}. a, b are the parameters named at UnaryKind.
struct Unary {
  UnaryKind kind = UnaryKind::kRelu;
  float a = 0, b = 0;
};

// Elementwise with two dynamic inputs {x, y}: equal shapes, or y has size 1 in h and w (image axes).
struct Binary {
  BinaryKind kind = BinaryKind::kAdd;
};

// y = x * scale[c] + shift[c]; vectors of length 1 (scalar) or the channel count. BatchNormalization,
// and Add/Sub/Mul/Div with a constant scalar or per-channel vector. inputs: {x}.
struct Affine {
  Axes axes = Axes::kImage;
  std::vector<float> scale, shift;
};

enum class PoolKind { kMax, kAverage };
struct Pool {                               // inputs: {x}, image axes
  PoolKind kind = PoolKind::kMax;
  Window window;
  bool count_include_pad = false;
};
struct GlobalAverage {                      // over h and w. inputs: {x}, image axes
  bool keep_dims = true;                    // false: output is [n, c]
};
struct Pad {                                // h and w only, constant value. inputs: {x}, image axes
  std::array<int64_t, 4> pads{0, 0, 0, 0};  // top, left, bottom, right; negative crops
  float value = 0;
};
// Nearest-neighbour resize of h and w. Output size = floor(size * scale), or `sizes` if > 0. The
// source pixel of output pixel y along an axis is given by the two modes as ONNX defines them.
struct Resize {
  std::array<double, 2> scale{1, 1};
  std::array<int64_t, 2> sizes{0, 0};
  enum class Coordinate { kHalfPixel, kPytorchHalfPixel, kAlignCorners, kAsymmetric } coordinate = Coordinate::kHalfPixel;
  enum class Nearest { kRoundPreferFloor, kRoundPreferCeil, kFloor, kCeil } nearest = Nearest::kRoundPreferFloor;
};
struct Concat {                             // along the channel axis. inputs: {x0, x1, ...}
  Axes axes = Axes::kImage;
};
struct Split {                              // channels [begin, end) of x, step 1. One Op per output.
  Axes axes = Axes::kImage;
  int64_t begin = 0, end = 0;
};
// Reshape, Flatten, Squeeze, Unsqueeze: same elements in row-major order.
struct Reshape {
  enum class Kind { kTarget, kFlatten, kSqueeze, kUnsqueeze } kind = Kind::kTarget;
  std::vector<int64_t> target;              // kTarget: ONNX Reshape's shape; kSqueeze, kUnsqueeze: axes
  bool allow_zero = false;                  // kTarget
  int64_t axis = 1;                         // kFlatten
};

using OpData = std::variant<Linear, Unary, Binary, Affine, Pool, GlobalAverage, Pad, Resize, Concat, Split, Reshape>;

struct Op {
  OpData data;
  std::vector<int> inputs;                  // value indices of OpGraph
  int output = -1;
  int node = -1;                            // node index in the Graph it came from
  std::string name;                         // that node's name, for messages and reports
};

struct OpValue {
  std::string name;                         // "" for a value between two Ops of one node
  bool has_shape = false;
  std::vector<int64_t> dims;                // as declared by the graph; -1: unknown
};

// The Ops of one region (or one whole graph), topologically ordered.
struct OpGraph {
  std::vector<OpValue> values;
  std::vector<Op> ops;
  std::vector<int> inputs, outputs;
};

// Row-major output shape of an op for concrete input shapes (all dims >= 0). Throws Error with the op's
// name when the shapes do not fit the op.
using Shape = std::vector<int64_t>;
Shape output_shape(const Op& op, const std::vector<Shape>& inputs);

// Explicit pads and output size of a window over h x w pixels (auto_pad and ceil_mode resolved).
struct WindowExtent {
  std::array<int64_t, 4> pads;              // top, left, bottom, right
  int64_t out_h = 0, out_w = 0;
};
WindowExtent window_extent(const Window& window, int64_t h, int64_t w);

}  // namespace sparsecpu
