#include "ops/shape.h"

#include <algorithm>

#include "base/error.h"
#include "base/memory.h"

namespace sparsecpu {
namespace {

int64_t normal_axis(int64_t axis, size_t rank) {
  const int64_t normal = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
  if (normal < 0 || normal >= static_cast<int64_t>(rank)) {
    throw Error("axis " + std::to_string(axis) + " is out of range for rank " + std::to_string(rank));
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
    if (x[a] != 1) throw Error("axis " + std::to_string(axis) + " of shape " + dims_text(x) + " is not 1");
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
    if (added[a]) throw Error("axis " + std::to_string(axis) + " is named twice");
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
        throw Error("its target shape " + dims_text(reshape.target) + " keeps an axis that shape " + dims_text(x) +
                    " has not");
      result[i] = x[i];
    }
    if (result[i] < -1 || (result[i] == -1 && unknown >= 0))
      throw Error("its target shape " + dims_text(reshape.target) + " is malformed");
    if (result[i] == -1)
      unknown = static_cast<int64_t>(i);
    else
      known = checked_mul(known, result[i]);
  }
  const int64_t total = product(x.begin(), x.end());
  // Nothing times nothing: the free axis is then 0 too, so that an empty batch stays empty.
  if (unknown >= 0) result[unknown] = known == 0 ? 0 : total / known;
  if (product(result.begin(), result.end()) != total) {
    throw Error("its input of shape " + dims_text(x) + " does not fit its target shape " + dims_text(reshape.target));
  }
  return result;
}

}  // namespace

// As onnxruntime does: the first input that has elements says how the others have to be. Those without elements are
// asked nothing but their channels, which count even where they hold no pixels or tokens: then the last channels of
// the output are not written.
Shape Concat::shape(const Shapes& inputs) const {
  const auto is_empty = [](const Shape& shape) { return element_count(shape) == 0; };
  const auto first = std::find_if_not(inputs.begin(), inputs.end(), is_empty);
  Shape result = first == inputs.end() ? inputs[0] : *first;
  const size_t axis = channel_axis(axes, result);
  int64_t channels = 0;
  for (const Shape& input : inputs) {
    Shape other = input;
    if (axis < input.size()) other[axis] = result[axis];
    if (axis >= input.size() || (other != result && !is_empty(input))) {
      throw Error("its inputs have shapes " + dims_text(result) + " and " + dims_text(input) +
                  "; they may differ in axis " + std::to_string(axis) + " only");
    }
    channels = checked_add(channels, input[axis]);
  }
  result[axis] = channels;
  return result;
}

Shape Split::shape(const Shapes& inputs) const {
  Shape result = inputs[0];
  const size_t axis = channel_axis(axes, result);
  const ChannelRange range = channel_range(*this, result[axis]);
  result[axis] = std::max<int64_t>(0, range.end - range.begin);
  return result;
}

ChannelRange channel_range(const Split& split, int64_t channels) {
  const auto bounded = [channels](int64_t bound) {
    return std::clamp<int64_t>(bound < 0 ? std::max(bound, -channels) + channels : bound, 0, channels);
  };
  if (split.parts == 0) return {bounded(split.begin), bounded(split.end)};
  const int64_t part = (channels + split.parts - 1) / split.parts;
  return {bounded(split.part * part), bounded((split.part + 1) * part)};
}

Shape Reshape::shape(const Shapes& inputs) const {
  switch (kind) {
    case Kind::kFlatten:
      return flattened(inputs[0], axis);
    case Kind::kSqueeze:
      return squeezed(inputs[0], target);
    case Kind::kUnsqueeze:
      return unsqueezed(inputs[0], target);
    case Kind::kTarget:
      break;
  }
  return reshaped(inputs[0], *this);
}

Shape SelectToken::shape(const Shapes& inputs) const {
  const Shape& x = inputs[0];
  expect_rank(x, 3, 3);
  if (index < -x[1] || index >= x[1])
    throw Error("it takes token " + std::to_string(index) + " of shape " + dims_text(x));
  return {x[0], x[2]};
}

}  // namespace sparsecpu
