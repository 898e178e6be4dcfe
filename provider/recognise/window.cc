#include "recognise/window.h"

#include <algorithm>
#include <array>

#include "facts/constants.h"

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

}  // namespace

Check read_window(const Node& node, std::vector<int64_t> kernel, Window* window) {
  kernel = node.attribute("kernel_shape", kernel);
  const size_t spatial = kernel.size();
  if (spatial < 1 || spatial > 2) {
    return decline("its window has " + std::to_string(spatial) + " spatial axes; 1 and 2 are supported");
  }
  window->kernel = {spatial == 2 ? kernel[0] : 1, kernel[spatial - 1]};
  // Sizes beyond this are malformed; the bound keeps span and offset arithmetic far from overflow.
  constexpr int64_t kLargest = 1 << 20;
  for (int64_t k : window->kernel) {
    if (k < 1 || k > kLargest) return decline("kernel_shape " + dims_text(kernel) + " is malformed");
  }
  if (!read_pair(node, "strides", spatial, 1, &window->stride)) return decline("attribute strides is malformed");
  if (!read_pair(node, "dilations", spatial, 1, &window->dilation)) return decline("attribute dilations is malformed");
  for (int axis : {0, 1}) {
    if (window->stride[axis] > kLargest || window->dilation[axis] > kLargest)
      return decline("strides or dilations are malformed");
  }
  const std::string auto_pad = node.attribute("auto_pad", "NOTSET");
  if (auto_pad == "VALID")
    window->auto_pad = AutoPad::kValid;
  else if (auto_pad == "SAME_UPPER")
    window->auto_pad = AutoPad::kSameUpper;
  else if (auto_pad == "SAME_LOWER")
    window->auto_pad = AutoPad::kSameLower;
  else if (auto_pad != "NOTSET" && !auto_pad.empty())
    return decline("auto_pad '" + auto_pad + "' is not known");
  if (window->auto_pad == AutoPad::kNotSet) {
    const std::vector<int64_t> pads = node.attribute("pads", std::vector<int64_t>(2 * spatial, 0));
    if (pads.size() != 2 * spatial) return decline("attribute pads is malformed");
    for (int64_t p : pads) {
      if (p < 0 || p > kLargest) return decline("pads " + dims_text(pads) + " are out of range");
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
    if (same && window->stride[axis] >= span + 2)
      return decline("auto_pad " + auto_pad + " with a stride beyond the window");
    // Nor whether the pads count the dilated window: onnxruntime's pools do not.
    if (same && window->dilation[axis] != 1) return decline("auto_pad " + auto_pad + " with dilations");
  }
  window->ceil_mode = node.attribute("ceil_mode", int64_t{0}) != 0;
  return {};
}

}  // namespace sparsecpu
