// Output shapes of Ops, with ONNX's rules.
#include <algorithm>

#include "base/error.h"
#include "base/memory.h"
#include "ops/op.h"

namespace sparsecpu {
namespace {

[[noreturn]] void refuse(const std::string& what) { throw Error(what); }

void expect_rank(const Shape& shape, size_t least, size_t most) {
  if (shape.size() >= least && shape.size() <= most) return;
  refuse("its input has shape " + dims_text(shape) + "; rank " + std::to_string(least) + " to " + std::to_string(most) +
         " is expected");
}

size_t channel_axis(Axes axes, const Shape& shape) {
  // Of a vector, onnxruntime's MatMul makes a vector and its Gemm a matrix: which one it was, is not known here.
  if (shape.size() < 2) refuse("its input has shape " + dims_text(shape) + "; at least rank 2 is expected");
  if (axes == Axes::kImage && shape.size() > 4)
    refuse("its input has shape " + dims_text(shape) + "; at most rank 4 is expected");
  return axes == Axes::kImage ? 1 : shape.size() - 1;
}

void expect_channels(const Shape& shape, size_t axis, int64_t channels) {
  if (shape[axis] == channels) return;
  refuse("its input has shape " + dims_text(shape) + "; " + std::to_string(channels) +
         " channels are expected on axis " + std::to_string(axis));
}

// [n, c, ...] with the pixels replaced by what a window leaves of them.
Shape windowed(const Shape& x, const Window& window, int64_t channels) {
  expect_rank(x, 3, 4);
  const bool one_axis = x.size() == 3;
  const WindowExtent extent = window_extent(window, image_size(x));
  Shape result{x[0], channels};
  if (!one_axis) result.push_back(extent.out_h);
  result.push_back(extent.out_w);
  return result;
}

// Linear or QuantizedLinear.
template <class AnyLinear>
Shape linear_shape(const AnyLinear& linear, const std::vector<Shape>& inputs) {
  const Shape& x = inputs[0];
  if (linear.axes == Axes::kImage) {
    expect_rank(x, 3, 4);
    expect_channels(x, 1, linear.in_channels);
    return windowed(x, linear.window, linear.out_channels);
  }
  if (linear.transposed_input) {
    expect_rank(x, 2, 2);
    expect_channels(x, 0, linear.in_channels);
    return {x[1], linear.out_channels};
  }
  expect_channels(x, channel_axis(Axes::kTokens, x), linear.in_channels);
  Shape result = x;
  result.back() = linear.out_channels;
  return result;
}

Shape shape_of(const Linear& linear, const std::vector<Shape>& inputs) { return linear_shape(linear, inputs); }
Shape shape_of(const QuantizedLinear& linear, const std::vector<Shape>& inputs) { return linear_shape(linear, inputs); }

Shape shape_of(const Unary&, const std::vector<Shape>& inputs) { return inputs[0]; }
Shape shape_of(const Quantize&, const std::vector<Shape>& inputs) { return inputs[0]; }
Shape shape_of(const Dequantize&, const std::vector<Shape>& inputs) { return inputs[0]; }
Shape shape_of(const DynamicQuantize&, const std::vector<Shape>& inputs) { return inputs[0]; }
Shape shape_of(const Lookup&, const std::vector<Shape>& inputs) { return inputs[0]; }

Shape binary_shape(const std::vector<Shape>& inputs) {
  const std::optional<Shape> both = broadcast_shape(inputs[0], inputs[1]);
  if (!both) {
    refuse("its inputs have shapes " + dims_text(inputs[0]) + " and " + dims_text(inputs[1]) +
           "; shapes that broadcast to a common one are expected");
  }
  return *both;
}

Shape shape_of(const Binary&, const std::vector<Shape>& inputs) { return binary_shape(inputs); }

Shape with_constant_shape(const std::optional<ChannelBytes>& constant, const std::vector<Shape>& inputs) {
  if (!constant) return binary_shape(inputs);
  const auto values = static_cast<int64_t>(constant->values.size());
  if (values > 1) expect_channels(inputs[0], channel_axis(constant->axes, inputs[0]), values);
  return inputs[0];
}

Shape shape_of(const QuantizedAdd& add, const std::vector<Shape>& inputs) {
  return with_constant_shape(add.constant, inputs);
}
Shape shape_of(const QuantizedMul& mul, const std::vector<Shape>& inputs) {
  return with_constant_shape(mul.constant, inputs);
}

Shape shape_of(const Affine& affine, const std::vector<Shape>& inputs) {
  const size_t length = std::max(affine.scale.size(), affine.shift.size());
  if (length > 1) expect_channels(inputs[0], channel_axis(affine.axes, inputs[0]), static_cast<int64_t>(length));
  return inputs[0];
}

Shape shape_of(const Pool& pool, const std::vector<Shape>& inputs) {
  expect_rank(inputs[0], 3, 4);
  return windowed(inputs[0], pool.window, inputs[0][1]);
}

Shape shape_of(const GlobalAverage& average, const std::vector<Shape>& inputs) {
  expect_rank(inputs[0], 3, 4);
  Shape result{inputs[0][0], inputs[0][1]};
  if (average.keep_dims) result.resize(inputs[0].size(), 1);
  return result;
}

Shape shape_of(const Pad& pad, const std::vector<Shape>& inputs) {
  expect_rank(inputs[0], 3, 4);
  Shape result = inputs[0];
  for (size_t axis = 2; axis < result.size(); ++axis) {
    const size_t side = axis + 2 - result.size();
    result[axis] = checked_add(checked_add(result[axis], pad.pads[side]), pad.pads[side + 2]);
    if (result[axis] < 0) refuse("its pads crop more than the input of shape " + dims_text(inputs[0]));
  }
  return result;
}

Shape shape_of(const Resize& resize, const std::vector<Shape>& inputs) {
  expect_rank(inputs[0], 3, 4);
  Shape result = inputs[0];
  const bool rows = result.size() == 4;
  const ImageSize to = resized(resize, image_size(result));
  if (rows) result[2] = to[0];
  result.back() = to[1];
  return result;
}

// As onnxruntime does, by the first input that has elements. It asks nothing of the others that have none, but with
// channels of another number of pixels or tokens it would leave memory unwritten.
Shape shape_of(const Concat& concat, const std::vector<Shape>& inputs) {
  const auto is_empty = [](const Shape& shape) { return element_count(shape) == 0; };
  const auto first = std::find_if_not(inputs.begin(), inputs.end(), is_empty);
  const bool all_empty = first == inputs.end();
  Shape result = all_empty ? inputs[0] : *first;
  const size_t axis = channel_axis(concat.axes, result);
  int64_t channels = 0;
  for (const Shape& input : inputs) {
    const bool same_rank = input.size() == result.size();
    Shape other = input;
    if (same_rank) other[axis] = result[axis];
    const bool nothing = same_rank && (all_empty || input[axis] == 0);
    if (other != result && !nothing) {
      refuse("its inputs have shapes " + dims_text(all_empty ? inputs[0] : *first) + " and " + dims_text(input) +
             "; they may differ in axis " + std::to_string(axis) + " only");
    }
    channels = checked_add(channels, input[axis]);
  }
  result[axis] = channels;
  return result;
}

Shape shape_of(const Split& split, const std::vector<Shape>& inputs) {
  Shape result = inputs[0];
  const size_t axis = channel_axis(split.axes, result);
  const ChannelRange range = channel_range(split, result[axis]);
  result[axis] = std::max<int64_t>(0, range.end - range.begin);
  return result;
}

int64_t normal_axis(int64_t axis, size_t rank) {
  const int64_t normal = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
  if (normal < 0 || normal >= static_cast<int64_t>(rank)) {
    refuse("axis " + std::to_string(axis) + " is out of range for rank " + std::to_string(rank));
  }
  return normal;
}

int64_t product(Shape::const_iterator begin, Shape::const_iterator end) {
  int64_t result = 1;
  for (; begin != end; ++begin) result = checked_mul(result, *begin);
  return result;
}

Shape flattened(const Shape& x, int64_t axis) {
  const int64_t split = axis == static_cast<int64_t>(x.size()) ? axis : normal_axis(axis, x.size());
  return {product(x.begin(), x.begin() + split), product(x.begin() + split, x.end())};
}

Shape squeezed(const Shape& x, const std::vector<int64_t>& axes) {
  std::vector<bool> drop(x.size(), false);
  for (int64_t axis : axes) {
    const int64_t a = normal_axis(axis, x.size());
    if (x[a] != 1) refuse("axis " + std::to_string(axis) + " of shape " + dims_text(x) + " is not 1");
    drop[a] = true;
  }
  Shape result;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!drop[i]) result.push_back(x[i]);
  }
  return result;
}

Shape unsqueezed(const Shape& x, const std::vector<int64_t>& axes) {
  const size_t rank = x.size() + axes.size();
  std::vector<bool> added(rank, false);
  for (int64_t axis : axes) {
    const int64_t a = normal_axis(axis, rank);
    if (added[a]) refuse("axis " + std::to_string(axis) + " is named twice");
    added[a] = true;
  }
  Shape result;
  auto next = x.begin();
  for (size_t i = 0; i < rank; ++i) result.push_back(added[i] ? 1 : *next++);
  return result;
}

Shape reshaped(const Shape& x, const Reshape& reshape) {
  Shape result = reshape.target;
  int64_t unknown = -1, known = 1;
  for (size_t i = 0; i < result.size(); ++i) {
    if (result[i] == 0 && !reshape.allow_zero) {
      if (i >= x.size())
        refuse("its target shape " + dims_text(reshape.target) + " keeps an axis that shape " + dims_text(x) +
               " has not");
      result[i] = x[i];
    }
    if (result[i] < -1 || (result[i] == -1 && unknown >= 0))
      refuse("its target shape " + dims_text(reshape.target) + " is malformed");
    if (result[i] == -1)
      unknown = static_cast<int64_t>(i);
    else
      known = checked_mul(known, result[i]);
  }
  const int64_t total = product(x.begin(), x.end());
  // Nothing times nothing: the free axis is then 0 too, so that an empty batch stays empty.
  if (unknown >= 0) result[unknown] = known == 0 ? 0 : total / known;
  if (product(result.begin(), result.end()) != total) {
    refuse("its input of shape " + dims_text(x) + " does not fit its target shape " + dims_text(reshape.target));
  }
  return result;
}

Shape shape_of(const Reshape& reshape, const std::vector<Shape>& inputs) {
  switch (reshape.kind) {
    case Reshape::Kind::kFlatten:
      return flattened(inputs[0], reshape.axis);
    case Reshape::Kind::kSqueeze:
      return squeezed(inputs[0], reshape.target);
    case Reshape::Kind::kUnsqueeze:
      return unsqueezed(inputs[0], reshape.target);
    case Reshape::Kind::kTarget:
      break;
  }
  return reshaped(inputs[0], reshape);
}

Shape shape_of(const LayerNorm& norm, const std::vector<Shape>& inputs) {
  expect_channels(inputs[0], channel_axis(Axes::kTokens, inputs[0]), static_cast<int64_t>(norm.scale.size()));
  return inputs[0];
}

Shape shape_of(const Attention& attention, const std::vector<Shape>& inputs) {
  const Shape &q = inputs[0], &k = inputs[1], &v = inputs[2];
  for (const Shape& shape : {q, k, v}) expect_rank(shape, 3, 3);
  Shape scores{q[0], attention.heads, q[1], k[1]};
  const auto joins = [&](const Shape& other) {  // as ONNX's operators broadcast
    const std::optional<Shape> both = broadcast_shape(scores, other);
    if (both) scores = *both;
    return both && scores.size() == 4 && scores[1] == attention.heads;
  };
  if (attention.mask != MaskKind::kNone && !joins(mask_over_scores(attention.mask, inputs[3], k[1]))) {
    refuse("its mask has shape " + dims_text(inputs[3]) + "; it has to broadcast to " + dims_text(scores));
  }
  const bool fits = joins({k[0], 1, 1, 1}) && joins({v[0], 1, 1, 1}) && scores[3] == v[1] && k[2] == q[2] &&
                    q[2] % attention.heads == 0 && v[2] % attention.heads == 0;
  if (!fits) {
    refuse("its queries, keys and values have shapes " + dims_text(q) + ", " + dims_text(k) + " and " + dims_text(v) +
           "; [batch,queries,c], [batch,keys,c] and [batch,keys,d] of " + std::to_string(attention.heads) +
           " heads are expected");
  }
  return {scores[0], scores[2], v[2]};
}

Shape shape_of(const QuantizedAttention& attention, const std::vector<Shape>& inputs) {
  const Shape shape = shape_of(static_cast<const Attention&>(attention), inputs);
  const int64_t unit = 4 * attention.heads;
  if (inputs[0][2] % unit != 0 || shape[2] % unit != 0) {
    refuse("its heads have " + std::to_string(inputs[0][2] / attention.heads) + " and " +
           std::to_string(shape[2] / attention.heads) + " channels; multiples of 4 are expected of bytes");
  }
  return shape;
}

Shape shape_of(const SelectToken& select, const std::vector<Shape>& inputs) {
  const Shape& x = inputs[0];
  expect_rank(x, 3, 3);
  if (select.index < -x[1] || select.index >= x[1])
    refuse("it takes token " + std::to_string(select.index) + " of shape " + dims_text(x));
  return {x[0], x[2]};
}

size_t operands_of(const OpData& data) {
  if (const Attention* attention = attention_of(data)) return attention->mask == MaskKind::kNone ? 3 : 4;
  if (const auto* add = std::get_if<QuantizedAdd>(&data)) return add->constant ? 1 : 2;
  if (const auto* mul = std::get_if<QuantizedMul>(&data)) return mul->constant ? 1 : 2;
  return std::holds_alternative<Binary>(data) ? 2 : 1;
}

}  // namespace

ChannelRange channel_range(const Split& split, int64_t channels) {
  const auto bounded = [channels](int64_t bound) {
    return std::clamp<int64_t>(bound < 0 ? std::max(bound, -channels) + channels : bound, 0, channels);
  };
  if (split.parts == 0) return {bounded(split.begin), bounded(split.end)};
  const int64_t part = (channels + split.parts - 1) / split.parts;
  return {bounded(split.part * part), bounded((split.part + 1) * part)};
}

Shape output_shape(const Op& op, const std::vector<Shape>& inputs) {
  try {
    const size_t least = operands_of(op.data);
    if (inputs.size() < least)
      refuse("it has " + std::to_string(inputs.size()) + " inputs; " + std::to_string(least) + " are expected");
    for (const Shape& shape : inputs) {
      if (element_count(shape) < 0) refuse("an input has the impossible shape " + dims_text(shape));
    }
    return std::visit([&](const auto& data) { return shape_of(data, inputs); }, op.data);
  } catch (const Error& error) {
    throw Error("node '" + op.name + "': " + error.what());
  }
}

// onnxruntime looks for that run from the last axis on, among the axes that both have (of a scalar: the last one of the
// other's), and skips those of one element.
std::optional<bool> exchanges_operands(const Shape& a, const Shape& b) {
  const size_t common = std::max<size_t>(1, std::min(a.size(), b.size()));
  const auto size_of = [](const Shape& shape, size_t from_end) {
    return from_end <= shape.size() ? shape[shape.size() - from_end] : 1;
  };
  for (size_t i = 1; i <= common; ++i) {
    const int64_t in_a = size_of(a, i), in_b = size_of(b, i);
    if (in_a > 1) return false;
    if (in_a < 0) return std::nullopt;
    if (in_b > 1) return true;
    if (in_b < 0) return std::nullopt;
  }
  return true;
}

Shape mask_over_scores(MaskKind kind, const Shape& mask, int64_t keys) {
  if (mask.empty() || (kind != MaskKind::kPadding && kind != MaskKind::kLengths)) return mask;
  Shape result{mask[0], 1, mask.size() == 3 ? mask[1] : 1, keys};
  if (kind == MaskKind::kPadding) result.back() = mask.back();
  return result;
}

const Attention* attention_of(const OpData& data) {
  if (const auto* bytes = std::get_if<QuantizedAttention>(&data)) return bytes;
  return std::get_if<Attention>(&data);
}

ElementType output_type(const OpData& data, ElementType input) {
  const auto bytes = [](bool is_signed) { return is_signed ? ElementType::kInt8 : ElementType::kUint8; };
  if (const auto* op = std::get_if<Quantize>(&data)) return bytes(op->y.is_signed);
  if (std::holds_alternative<Dequantize>(data)) return ElementType::kFloat;
  if (std::holds_alternative<DynamicQuantize>(data)) return ElementType::kUint8;
  if (const auto* op = std::get_if<QuantizedLinear>(&data)) {
    return op->output == QuantizedLinear::Output::kFloat ? ElementType::kFloat : bytes(op->y.is_signed);
  }
  if (const auto* op = std::get_if<QuantizedAttention>(&data)) {
    return op->y ? bytes(op->y->is_signed) : ElementType::kFloat;
  }
  if (const auto* op = std::get_if<QuantizedAdd>(&data)) return bytes(op->y.is_signed);
  if (const auto* op = std::get_if<QuantizedMul>(&data)) return bytes(op->y.is_signed);
  if (const auto* op = std::get_if<Lookup>(&data)) return bytes(op->output_signed);
  return input;
}

}  // namespace sparsecpu
