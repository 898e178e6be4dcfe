#include "ops/window.h"

#include <algorithm>

#include "base/error.h"
#include "base/memory.h"

namespace sparsecpu {
namespace {

// Padding before and after one axis so that ceil(size / stride) windows fit.
void same_padding(const Window& window, int axis, int64_t size, int64_t* before, int64_t* after) {
  const int64_t span = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
  const int64_t windows = ceil_div(size, window.stride[axis]);
  const int64_t total = std::max<int64_t>(0, (windows - 1) * window.stride[axis] + span - size);
  *before = window.auto_pad == AutoPad::kSameUpper ? total / 2 : (total + 1) / 2;
  *after = total - *before;
}

int64_t window_count(const Window& window, int axis, int64_t size, int64_t before, int64_t after) {
  const int64_t span = checked_add(checked_mul(window.kernel[axis] - 1, window.dilation[axis]), 1);
  const int64_t room = checked_add(checked_add(size, before), after) - span;
  const int64_t stride = window.stride[axis];
  if (room < 0 && size == 0) return 0;
  // onnxruntime's division rounds towards zero: a pool's only window may reach past the image by less than a stride.
  const int64_t least = window.must_fit ? 0 : 1 - 2 * stride;
  if (room < least) {
    throw Error("a window of " + std::to_string(span) + " pixels does not fit " + std::to_string(size) +
                " pixels with padding " + std::to_string(before) + " and " + std::to_string(after));
  }
  if (!window.ceil_mode || room < 0) return room / stride + 1;
  const int64_t count = ceil_div(room, stride) + 1;
  // The last window has to start inside the image or the padding before it.
  return (count - 1) * stride >= size + before ? count - 1 : count;
}

}  // namespace

ImageSize image_size(const Shape& image) {
  return {image.size() > 3 ? image[2] : 1, image.size() > 2 ? image.back() : 1};
}

WindowExtent window_extent(const Window& window, const ImageSize& size) {
  WindowExtent extent{window.pads, 0, 0};
  for (int axis : {0, 1}) {
    int64_t& before = extent.pads[axis];
    int64_t& after = extent.pads[axis + 2];
    if (window.auto_pad == AutoPad::kValid) before = after = 0;
    if (window.auto_pad == AutoPad::kSameUpper || window.auto_pad == AutoPad::kSameLower) {
      same_padding(window, axis, size[axis], &before, &after);
    }
    (axis == 0 ? extent.out_h : extent.out_w) = window_count(window, axis, size[axis], before, after);
  }
  return extent;
}

Shape windowed(const Shape& image, const Window& window, int64_t channels) {
  const WindowExtent extent = window_extent(window, image_size(image));
  Shape result{image[0], channels};
  if (image.size() > 3) result.push_back(extent.out_h);
  result.push_back(extent.out_w);
  return result;
}

}  // namespace sparsecpu
