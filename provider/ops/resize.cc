// Nearest-neighbour Resize as ONNX Runtime's CPU provider computes it: all of it in float32, a copy where no size
// changes, and index for index along an axis whose scale is exactly 1 (ONNX's formulas choose other pixels there).
#include "ops/resize.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/memory.h"

namespace sparsecpu {
namespace {

float scale_of(const Resize& resize, size_t axis, int64_t from) {
  if (resize.sizes[axis] <= 0) return resize.scale[axis];
  return from == 0 ? 1.0f : static_cast<float>(resize.sizes[axis]) / static_cast<float>(from);
}

float coordinate(Resize::Coordinate mode, float pixel, float scale, float from, float to) {
  switch (mode) {
    case Resize::Coordinate::kHalfPixel:
      break;
    case Resize::Coordinate::kPytorchHalfPixel:
      if (to <= 1) return 0;
      break;
    case Resize::Coordinate::kAlignCorners:
      return to == 1 ? 0 : pixel * (from - 1) / (to - 1);
    case Resize::Coordinate::kAsymmetric:
      return pixel / scale;
  }
  return (pixel + 0.5f) / scale - 0.5f;
}

bool is_tie(float x, bool wide) {
  constexpr float kWidth = 1e-6f;
  const float part = x - std::floor(x);
  return wide ? std::fabs(part - 0.5f) <= kWidth : part == 0.5f;
}

float nearest(const Resize& resize, float x) {
  switch (resize.nearest) {
    case Resize::Nearest::kFloor:
      return std::floor(x);
    case Resize::Nearest::kCeil:
      return std::ceil(x);
    case Resize::Nearest::kRoundPreferFloor:
      return is_tie(x, resize.wide_ties) ? std::floor(x) : std::round(x);
    case Resize::Nearest::kRoundPreferCeil:
      return is_tie(x, resize.wide_ties) ? std::ceil(x) : std::round(x);
  }
  return x;
}

}  // namespace

Shape Pad::shape(const Shapes& inputs) const {
  expect_rank(inputs[0], 3, 4);
  Shape result = inputs[0];
  for (size_t axis = 2; axis < result.size(); ++axis) {
    const size_t side = axis + 2 - result.size();
    result[axis] = checked_add(checked_add(result[axis], pads[side]), pads[side + 2]);
    if (result[axis] < 0) throw Error("its pads crop more than the input of shape " + dims_text(inputs[0]));
  }
  return result;
}

Shape Resize::shape(const Shapes& inputs) const {
  expect_rank(inputs[0], 3, 4);
  Shape result = inputs[0];
  const bool rows = result.size() == 4;
  const ImageSize to = resized(*this, image_size(result));
  if (rows) result[2] = to[0];
  result.back() = to[1];
  return result;
}

ImageSize resized(const Resize& resize, const ImageSize& from) {
  ImageSize to = from;
  for (size_t axis = 0; axis < 2; ++axis) {
    const float scaled = resize.scale[axis] * static_cast<float>(from[axis]);
    if (resize.sizes[axis] > 0) {
      to[axis] = from[axis] == 0 ? 0 : resize.sizes[axis];
    } else if (scaled < 1e15f) {
      to[axis] = static_cast<int64_t>(scaled);
    } else {
      throw Error("its output size overflows for " + std::to_string(from[axis]) + " pixels");
    }
  }
  return to;
}

std::array<std::vector<int64_t>, 2> resize_sources(const Resize& resize, const ImageSize& from) {
  const ImageSize to = resized(resize, from);
  std::array<std::vector<int64_t>, 2> sources;
  for (size_t axis = 0; axis < 2; ++axis) {
    const float scale = scale_of(resize, axis, from[axis]);
    const bool copies = from == to || scale == 1.0f;
    for (int64_t pixel = 0; pixel < to[axis]; ++pixel) {
      const float x = coordinate(resize.coordinate, static_cast<float>(pixel), scale, static_cast<float>(from[axis]),
                                 static_cast<float>(to[axis]));
      const auto source = copies ? pixel : static_cast<int64_t>(nearest(resize, x));
      sources[axis].push_back(std::clamp<int64_t>(source, 0, std::max<int64_t>(0, from[axis] - 1)));
    }
  }
  return sources;
}

}  // namespace sparsecpu
