// How a window's input is laid out, and windows that would take memory out of proportion.
#pragma once
#include "base/result.h"
#include "layout/window_layout.h"
#include "ops/op.h"

namespace sparsecpu {

// Under a window whose output lies as `out`, of an input of this shape.
WindowLayout window_layout(const Shape& in, const Geometry& out, const Window& window, const WindowExtent& extent);

// Whether this may gather its taps, for some sizes of the image.
bool taps_lie_apart(const Window& window);

// Whether an op with a window is taken for these shapes: the layout that the window wants may be too large next to its
// input and output, or it may have too many pixels.
Check check_window(const Op& op, const Shape& in, const Shape& out);

}  // namespace sparsecpu
