// Windows that slide over an image, and how far they reach.
#pragma once
#include <array>
#include <cstdint>

#include "ops/dims.h"

namespace sparsecpu {

enum class AutoPad { kNotSet, kValid, kSameUpper, kSameLower };

// Sliding window over (h, w); 1-D windows have kernel[0] = 1. Order of pads: top, left, bottom, right.
struct Window {
  std::array<int64_t, 2> kernel{1, 1}, stride{1, 1}, dilation{1, 1};
  std::array<int64_t, 4> pads{0, 0, 0, 0};
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;  // pools only
  bool must_fit = false;   // Conv: no window reaches past the image and its pads; a pool's only one may
};

using ImageSize = std::array<int64_t, 2>;  // h, w
// Of [n, c, h, w], [n, c, w] or [n, c]: 1 for an axis that is not there.
ImageSize image_size(const Shape& image);

// Explicit pads and output size of a window over an image (auto_pad and ceil_mode resolved).
struct WindowExtent {
  std::array<int64_t, 4> pads;  // top, left, bottom, right
  int64_t out_h = 0, out_w = 0;
};
WindowExtent window_extent(const Window& window, const ImageSize& size);

// An image of rank 3 or 4 with the pixels replaced by what a window leaves of them, and other channels.
Shape windowed(const Shape& image, const Window& window, int64_t channels);

}  // namespace sparsecpu
