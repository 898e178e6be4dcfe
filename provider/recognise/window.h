// Window attributes of Conv and pools.
#pragma once
#include <cstdint>
#include <vector>

#include "recognise/meaning.h"

namespace sparsecpu {

// Attributes kernel_shape, strides, dilations, pads, auto_pad, ceil_mode of a window over 1 or 2 spatial axes; `kernel`
// is used where the attribute is absent.
Check read_window(const Node& node, std::vector<int64_t> kernel, Window* window);

}  // namespace sparsecpu
