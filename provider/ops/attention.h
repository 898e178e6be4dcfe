// Multi-head attention over tokens, of floats and of bytes.
#pragma once
#include <limits>

#include "base/attention_mask.h"
#include "ops/quantized.h"

namespace sparsecpu {

// inputs: {q, k, v} or {q, k, v, mask}; q [batch, queries, heads * d], k [batch, keys, heads * d],
// v [batch, keys, heads * dv]: a head is a range of channels.
// y[b,i,(h,e)] = sum over j of softmax over j (scale * <q[b,i,h,:], k[b,j,h,:]> + mask[b,h,i,j]) * v[b,j,(h,e)];
// output [batch, queries, heads * dv]. `masked` is added to the scores that are masked; where the mask replaces, it
// stands in their place and is below 0. A query whose scores are all minus infinity gives NaN as in ONNX Runtime. With
// `unattended`, a query whose scores are NaN, or none of them above that, gives zeros.
struct Attention {
  int64_t heads = 1;
  float scale = 1;
  MaskKind mask = MaskKind::kNone;
  bool replaces = false;
  float masked = -std::numeric_limits<float>::infinity();
  std::optional<float> unattended;
};

// What both kinds of attention have in common. Throws Error.
Shape output_of(const Attention& attention, const Shapes& inputs);

struct FloatAttention : Attention {
  static const char* op_name() { return "attention"; }
  const char* kernel() const { return "attention"; }
  size_t operands() const { return mask == MaskKind::kNone ? 3 : 4; }
  Shape shape(const Shapes& inputs) const { return output_of(*this, inputs); }
  ElementType result_type(ElementType input) const { return input; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return Axes::kTokens; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return false; }
  bool fuses() const { return false; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kAttention; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }
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

  static const char* op_name() { return "quantized_attention"; }
  const char* kernel() const { return "attention int8"; }
  size_t operands() const { return mask == MaskKind::kNone ? 3 : 4; }
  Shape shape(const Shapes& inputs) const;
  ElementType result_type(ElementType) const { return y ? byte_type(y->is_signed) : ElementType::kFloat; }
  bool scale_travels() const { return false; }
  std::optional<Axes> own_axes() const { return Axes::kTokens; }
  bool keeps_axes() const { return true; }
  std::optional<NeededChannels> needed_channels() const { return std::nullopt; }
  bool keeps_images_apart() const { return false; }
  bool fuses() const { return false; }
  bool takes_activation() const { return false; }
  Work work() const { return Work::kAttention; }
  std::optional<Moves> moves() const { return std::nullopt; }
  std::optional<WindowUse> window_use() const { return std::nullopt; }
  std::optional<LinearShape> layer() const { return std::nullopt; }
};

// The shape in which the floats of a mask broadcast to the scores, [batch, heads, queries, keys].
Shape mask_over_scores(MaskKind kind, const Shape& mask, int64_t batch, int64_t keys);

}  // namespace sparsecpu
