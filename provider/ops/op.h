// What a claimed node means: the vocabulary between recognise/ (which reads ONNX nodes) and lower/
// (which runs them). One Op is one mathematical step; several may stand for one node, one for several nodes.
//
// Tensors are float, or u8 / s8 bytes (OpValue::type). Linear, Unary, Binary, Affine work on floats; the ops
// named Quantized* and Lookup on bytes; Pool (maximum), Pad, Resize, Concat, Split and Reshape on either: they
// move or compare values, and the values they join have equal scales and zero points.
#pragma once
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/attention_mask.h"
#include "base/elementwise.h"
#include "base/quantized.h"
#include "base/weight_view.h"
#include "graph/graph.h"
#include "ops/dims.h"

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
  bool ceil_mode = false;  // pools only
  bool must_fit = false;   // Conv: no window reaches past the image and its pads; a pool's only one may
};

// Conv, or MatMul/Gemm as a 1x1 convolution over tokens. inputs: {x}.
struct Linear {
  Axes axes = Axes::kImage;
  int64_t in_channels = 0, out_channels = 0, groups = 1;
  Window window;
  WeightView weight;
  std::vector<float> bias;        // out_channels, or empty
  bool transposed_input = false;  // Gemm transA: x is [c, tokens]
};

// A layer of floats or of bytes, or its shape.
template <class Layer>
bool is_depthwise(const Layer& layer) {
  return layer.groups > 1 && layer.groups == layer.in_channels && layer.groups == layer.out_channels;
}

// Elementwise. inputs: {x}. a, b are the parameters named at UnaryKind.
struct Unary {
  UnaryKind kind = UnaryKind::kRelu;
  float a = 0, b = 0;
};

// Elementwise with two dynamic inputs {x, y} that broadcast to the output's shape. Claimed where they are taken to be
// equal, or one of them to have size 1 in h and w (image axes).
struct Binary {
  BinaryKind kind = BinaryKind::kAdd;
};

// y = x * scale[c] + shift[c]; vectors of length 1 (scalar) or the channel count. BatchNormalization,
// and Add/Sub/Mul/Div with a constant scalar or per-channel vector. inputs: {x}.
struct Affine {
  Axes axes = Axes::kImage;
  std::vector<float> scale, shift;
};

// Averages of bytes change the quantization; everything else that pools bytes keeps it.
struct AverageQuantization {
  Quantization x, y;
};

enum class PoolKind { kMax, kAverage };
struct Pool {  // inputs: {x}, image axes
  PoolKind kind = PoolKind::kMax;
  Window window;
  bool count_include_pad = false;
  // QLinearAveragePool: the float sum of x.scale * float(q - zero point) over the window's pixels row by row, divided
  // by their number; y = clamp(RNE(average / y.scale + float(y zero point)))
  std::optional<AverageQuantization> bytes;
};
struct GlobalAverage {    // over h and w. inputs: {x}, image axes
  bool keep_dims = true;  // false: output is [n, c]
  // QLinearGlobalAveragePool: sum = exact int32 sum of (q - x.zero_point) over n pixels,
  // y = saturate(RNE(float(sum) * (x.scale / (y.scale * float(n)))) + y.zero_point)
  std::optional<AverageQuantization> bytes;
};
struct Pad {                                // h and w only, constant value. inputs: {x}, image axes
  std::array<int64_t, 4> pads{0, 0, 0, 0};  // top, left, bottom, right; negative crops
  float value = 0;                          // on bytes: the byte, as a number of the tensor's type
};
// Nearest-neighbour resize of h and w, with the pixels that ONNX Runtime takes (resize.cc). inputs: {x}, image axes
struct Resize {
  std::array<float, 2> scale{1, 1};
  std::array<int64_t, 2> sizes{0, 0};  // instead of the scale, if > 0
  enum class Coordinate {
    kHalfPixel,
    kPytorchHalfPixel,
    kAlignCorners,
    kAsymmetric
  } coordinate = Coordinate::kHalfPixel;
  enum class Nearest { kRoundPreferFloor, kRoundPreferCeil, kFloor, kCeil } nearest = Nearest::kRoundPreferFloor;
  bool wide_ties = true;  // what is within 1e-6 of a tie is one: from ONNX Runtime 1.28 on
};
struct Concat {  // along the channel axis. inputs: {x0, x1, ...}
  Axes axes = Axes::kImage;
};
// A range of x's channels, step 1. One Op per output. What it is depends on how many channels x has in a run.
struct Split {
  Axes axes = Axes::kImage;
  int64_t begin = 0, end = 0;   // as Slice has them: negative ones count from the end, and none lies beyond it
  int64_t part = 0, parts = 0;  // with parts, instead: this one of so many equal ones, the last of which may be smaller
};
struct ChannelRange {
  int64_t begin = 0, end = 0;
};
ChannelRange channel_range(const Split& split, int64_t channels);
// Reshape, Flatten, Squeeze, Unsqueeze: same elements in row-major order.
struct Reshape {
  enum class Kind { kTarget, kFlatten, kSqueeze, kUnsqueeze } kind = Kind::kTarget;
  std::vector<int64_t> target;  // kTarget: ONNX Reshape's shape; kSqueeze, kUnsqueeze: axes
  bool allow_zero = false;      // kTarget
  int64_t axis = 1;             // kFlatten
};

// y = (x - mean) / sqrt(variance + epsilon) * scale[c] + shift[c], mean and (biased) variance over the channels, each
// token's own. inputs: {x}, token axes.
struct LayerNorm {
  float epsilon = 1e-5f;
  std::vector<float> scale, shift;  // one a channel
};
// Multi-head attention over tokens. inputs: {q, k, v} or {q, k, v, mask}; q [batch, queries, heads * d],
// k [batch, keys, heads * d], v [batch, keys, heads * dv]: a head is a range of channels.
// y[b,i,(h,e)] = sum over j of softmax over j (scale * <q[b,i,h,:], k[b,j,h,:]> + mask[b,h,i,j]) * v[b,j,(h,e)];
// output [batch, queries, heads * dv]. `masked` is added to the scores that are masked. A query whose scores are all
// minus infinity gives NaN as in ONNX Runtime. With `unattended`, a query whose scores are NaN, or none of them above
// that, gives zeros.
struct Attention {
  int64_t heads = 1;
  float scale = 1;
  MaskKind mask = MaskKind::kNone;
  float masked = -std::numeric_limits<float>::infinity();
  std::optional<float> unattended;
};
// The rows of one token: x [b, s, c] -> [b, c]; index -1 is the last one. inputs: {x}.
struct SelectToken {
  int64_t index = 0;
};

// ---- Quantized. All float steps in float32, in the order written, rounding after each; RNE is round to
// nearest even. What ONNX Runtime's CPU provider computes, bit for bit, unless the pattern's name says otherwise.

// y = clamp(RNE(x / y.scale) + zero point): a true divide. inputs: {x float}; output bytes.
struct Quantize {
  Quantization y;
};
// float(q - zero point) * scale. inputs: {x bytes}; output float.
struct Dequantize {
  Quantization x;
};
// DynamicQuantizeLinear: x -> u8 with the scale and zero point of this run's x, over the whole tensor. They
// travel with the output, which only a QuantizedLinear with dynamic_input reads. inputs: {x float}.
struct DynamicQuantize {};

// y = table[x as an unsigned byte]: any function of one byte (activations, a change of scale, Add or Mul with
// a constant number). inputs: {x bytes}.
struct Lookup {
  std::array<uint8_t, 256> table{};
  bool output_signed = false;
};

// sum[row] = sum of (w - w_zp) * (x - x_zp) + bias[row], exact in int32; borders are x_zp. Then
//   kBytes: y = RNE(min(max(float(sum) * multiplier[row], lowest - y_zp), highest - y_zp)) + y_zp,
//           then limited to [clamp_low, clamp_high]
//   kFloat: y = float(sum) * multiplier[row], then + float_bias[row] if there is one (no fma)
// With dynamic_input, multiplier[row] is the weights' scale, and x_scale * multiplier[row] (float32) is used.
// inputs: {x bytes}.
struct QuantizedLinear {
  Axes axes = Axes::kImage;
  int64_t in_channels = 0, out_channels = 0, groups = 1;
  Window window;
  QuantizedWeightView weight;
  bool transposed_input = false;  // QGemm transA: x is [c, tokens]
  Quantization x;                 // with dynamic_input: only is_signed counts
  bool dynamic_input = false;
  std::vector<int32_t> bias;      // out_channels, or empty
  std::vector<float> multiplier;  // out_channels
  enum class Output { kBytes, kFloat } output = Output::kBytes;
  Quantization y;                              // kBytes
  int32_t clamp_low = -128, clamp_high = 255;  // kBytes: on y, zero point included; of a Relu or Clip
  std::vector<float> float_bias;               // kFloat: out_channels, or empty
};

// The constant operand of an op of two: as stored in the model, one byte a channel, or one for all.
struct ChannelBytes {
  std::vector<uint8_t> values;
  std::vector<int64_t> dims;  // the constant's shape
  Axes axes = Axes::kImage;   // with several values
  bool first = false;         // the operand that the op's comment calls a, else b
};
// With ra = a.scale / y.scale, rb = b.scale / y.scale, fix = float(y_zp) - fma(ra, a_zp, rb * b_zp):
// y = saturate(RNE(fma(a, ra, fma(b, rb, fix)))), then limited to [clamp_low, clamp_high].
// As in ONNX Runtime, a and b change places where exchanges_operands() says so.
// inputs: {a, b bytes}, shapes as Binary; with a constant, the other one alone.
struct QuantizedAdd {
  Quantization a, b, y;
  int32_t clamp_low = -128, clamp_high = 255;
  std::optional<ChannelBytes> constant;
};
// y = saturate(RNE(float((a - a_zp) * (b - b_zp)) * ((a.scale * b.scale) / y.scale) + float(y_zp))).
// inputs: as QuantizedAdd.
struct QuantizedMul {
  Quantization a, b, y;
  std::optional<ChannelBytes> constant;
};
// QLinearSoftmax over bytes x_j as unsigned ones, whose largest is m, of n of them:
//   p_j = float32(e^((x_j - m + b) * x.scale)), b = max(0, logf(FLT_MAX / n) - 5) / x.scale in double, summed up in
//   float32 in the order of j; y_j = RNE(p_j * floor(1 / y.scale) / sum) + zero point, limited to a byte, rounded once.
struct ByteSoftmax {
  Quantization x, y;
  std::optional<Lookup> before, after;  // of the scores' bytes, and of y
  std::optional<QuantizedAdd> sum;      // of a mask of bytes and the scores, after `before`: x
  bool mask_first = false;              // the mask is its operand a
};

// Attention between quantized q, k and v; heads have multiples of 4 channels. `scale` and the mask are applied to the
// dequantized scores; `unattended` means nothing here: what is not a number becomes the weights' lowest byte.
//   scores   y of exact integer sums as QuantizedLinear::kBytes; without quantization float(sum) * (q.scale * k.scale)
//   weights  their softmax, within a step where float rounding decides; exact with one of bytes, which takes the
//            scores' bytes: there is no scale, and a mask is bytes
//   y        as scores; without quantization float(sum) * (weights.scale * v.scale)
// inputs: {q, k, v bytes} or {q, k, v, mask}.
struct QuantizedAttention : Attention {
  Quantization q, k, v;
  std::optional<Quantization> scores;
  std::optional<ByteSoftmax> softmax;
  Quantization weights;
  std::optional<Quantization> y;
};

using OpData = std::variant<Linear, Unary, Binary, Affine, Pool, GlobalAverage, Pad, Resize, Concat, Split, Reshape,
                            LayerNorm, Attention, SelectToken, Quantize, Dequantize, DynamicQuantize,
                            QuantizedAttention, QuantizedLinear, QuantizedAdd, QuantizedMul, Lookup>;

struct Op {
  OpData data;
  std::vector<int> inputs;  // value indices of OpGraph
  int output = -1;
  int node = -1;     // node index in the Graph: the operator itself where there are several
  std::string name;  // that node's name, for messages and reports
};

struct OpValue {
  std::string name;  // "" for a value between two Ops of one node
  bool has_shape = false;
  std::vector<int64_t> dims;               // as declared by the graph; -1: unknown
  ElementType type = ElementType::kFloat;  // kFloat, kUint8 or kInt8
  std::vector<float> constant;  // a float tensor of the model's, `dims` elements; empty: computed or an input
};

// The Ops of one region (or one whole graph), topologically ordered.
struct OpGraph {
  std::vector<OpValue> values;
  std::vector<Op> ops;
  std::vector<int> inputs, outputs;
};

// What a region computes.
struct RegionOps {
  OpGraph graph;               // weight views point into the Graph; Op::node counts its nodes
  std::vector<Shape> assumed;  // of graph.inputs, for the prediction; empty if not all of them are known
};

// Row-major output shape of an op for concrete input shapes (all dims >= 0). Throws Error with the op's
// name when the shapes do not fit the op.
Shape output_shape(const Op& op, const std::vector<Shape>& inputs);

// Whether ONNX Runtime's QLinearAdd exchanges operands of these shapes: it does where the first one is a single number
// to each run of contiguous output elements, which also holds of two numbers. nullopt: it depends on a size that is -1.
std::optional<bool> exchanges_operands(const Shape& a, const Shape& b);

// The shape in which the floats of a mask broadcast to the scores, [batch, heads, queries, keys].
Shape mask_over_scores(MaskKind kind, const Shape& mask, int64_t keys);

// The attention that an op is, on floats or on bytes; else null.
const Attention* attention_of(const OpData& data);

// Element type of an op's output; `input`: that of its first input.
ElementType output_type(const OpData& data, ElementType input);

using ImageSize = std::array<int64_t, 2>;  // h, w
// Of [n, c, h, w], [n, c, w] or [n, c]: 1 for an axis that is not there.
ImageSize image_size(const Shape& image);

// Explicit pads and output size of a window over an image (auto_pad and ceil_mode resolved).
struct WindowExtent {
  std::array<int64_t, 4> pads;  // top, left, bottom, right
  int64_t out_h = 0, out_w = 0;
};
WindowExtent window_extent(const Window& window, const ImageSize& size);

// Throws Error where it does not fit int64.
ImageSize resized(const Resize& resize, const ImageSize& from);
// The source row of every output row, and the source column of every output column.
std::array<std::vector<int64_t>, 2> resize_sources(const Resize& resize, const ImageSize& from);

}  // namespace sparsecpu
