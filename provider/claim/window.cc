// Window attributes of Conv and pools, and their extent over an image.
#include <algorithm>

#include "base/error.h"
#include "base/memory.h"
#include "claim/constants.h"
#include "claim/recognise.h"

namespace sparsecpu {
namespace {

// An attribute with one entry a spatial axis; absent: `fallback` everywhere. False if malformed.
bool read_pair(const Node& node, const char* key, size_t spatial, int64_t fallback, std::array<int64_t, 2>* pair) {
  const std::vector<int64_t> given = node.attribute(key, std::vector<int64_t>(spatial, fallback));
  if (given.size() != spatial) return false;
  (*pair)[0] = spatial == 2 ? given[0] : 1;
  (*pair)[1] = given[spatial - 1];
  return (*pair)[0] >= 1 && (*pair)[1] >= 1;
}

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

std::string read_window(const Node& node, std::vector<int64_t> kernel, Window* window) {
  kernel = node.attribute("kernel_shape", kernel);
  const size_t spatial = kernel.size();
  if (spatial < 1 || spatial > 2) {
    return "its window has " + std::to_string(spatial) + " spatial axes; 1 and 2 are supported";
  }
  window->kernel = {spatial == 2 ? kernel[0] : 1, kernel[spatial - 1]};
  // Sizes beyond this are malformed; the bound keeps span and offset arithmetic far from overflow.
  constexpr int64_t kLargest = 1 << 20;
  for (int64_t k : window->kernel) {
    if (k < 1 || k > kLargest) return "kernel_shape " + dims_text(kernel) + " is malformed";
  }
  if (!read_pair(node, "strides", spatial, 1, &window->stride)) return "attribute strides is malformed";
  if (!read_pair(node, "dilations", spatial, 1, &window->dilation)) return "attribute dilations is malformed";
  for (int axis : {0, 1}) {
    if (window->stride[axis] > kLargest || window->dilation[axis] > kLargest)
      return "strides or dilations are malformed";
  }
  const std::string auto_pad = node.attribute("auto_pad", "NOTSET");
  if (auto_pad == "VALID")
    window->auto_pad = AutoPad::kValid;
  else if (auto_pad == "SAME_UPPER")
    window->auto_pad = AutoPad::kSameUpper;
  else if (auto_pad == "SAME_LOWER")
    window->auto_pad = AutoPad::kSameLower;
  else if (auto_pad != "NOTSET" && !auto_pad.empty())
    return "auto_pad '" + auto_pad + "' is not known";
  if (window->auto_pad == AutoPad::kNotSet) {
    const std::vector<int64_t> pads = node.attribute("pads", std::vector<int64_t>(2 * spatial, 0));
    if (pads.size() != 2 * spatial) return "attribute pads is malformed";
    for (int64_t p : pads) {
      if (p < 0 || p > kLargest) return "pads " + dims_text(pads) + " are out of range";
    }
    if (spatial == 2)
      window->pads = {pads[0], pads[1], pads[2], pads[3]};
    else
      window->pads = {0, pads[0], 0, pads[1]};
  }
  for (int axis : {0, 1}) {
    const int64_t span = (window->kernel[axis] - 1) * window->dilation[axis] + 1;
    const bool same = window->auto_pad == AutoPad::kSameUpper || window->auto_pad == AutoPad::kSameLower;
    // ONNX leaves open what happens then: onnxruntime crops the image, others start at its first pixel.
    if (same && window->stride[axis] >= span + 2) return "auto_pad " + auto_pad + " with a stride beyond the window";
    // Nor whether the pads count the dilated window: onnxruntime's pools do not.
    if (same && window->dilation[axis] != 1) return "auto_pad " + auto_pad + " with dilations";
  }
  window->ceil_mode = node.attribute("ceil_mode", int64_t{0}) != 0;
  return "";
}

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

}  // namespace sparsecpu
