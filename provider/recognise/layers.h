// What recognisers of layers and pools share.
#pragma once
#include <string>
#include <vector>

#include "recognise/meaning.h"

namespace sparsecpu {

// window.cc. Attributes kernel_shape, strides, dilations, pads, auto_pad, ceil_mode of a window over 1 or 2 spatial
// axes; `kernel` is used where the attribute is absent.
Check read_window(const Node& node, std::vector<int64_t> kernel, Window* window);

// conv.cc. Geometry of a Conv with weights of these dimensions, all but the weights. Linear or QuantizedLinear.
struct ConvGeometry {
  int64_t in_channels = 0, out_channels = 0, groups = 1;
  Window window;
};
Check read_conv_geometry(const RecogniseContext&, const Node& node, int x, const std::vector<int64_t>& weight_dims,
                         ConvGeometry* geometry);

// quantized.cc. Of a layer of floats: declined if a DequantizeLinear makes its weights of constant bytes in every run.
Check check_not_dequantized(const RecogniseContext&, int weights);

// elementwise.cc. Axes under which a constant next to an activation x is one number, or one a channel.
Check read_axes(const RecogniseContext&, int x, const Value& constant, Axes* axes);

}  // namespace sparsecpu
