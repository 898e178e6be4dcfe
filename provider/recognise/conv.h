// Conv with constant weights.
#pragma once
#include <cstdint>
#include <vector>

#include "recognise/meaning.h"

namespace sparsecpu {

// All but the weights, which are of these dimensions.
struct ConvGeometry {
  int64_t in_channels = 0, out_channels = 0, groups = 1;
  Window window;
};
Check read_conv_geometry(const RecogniseContext&, const Node& node, int x, const std::vector<int64_t>& weight_dims,
                         ConvGeometry* geometry);
// Of Linear or QuantizedLinear.
template <class Layer>
void set_conv_geometry(const ConvGeometry& geometry, Layer* layer) {
  layer->axes = Axes::kImage;
  layer->in_channels = geometry.in_channels;
  layer->out_channels = geometry.out_channels;
  layer->groups = geometry.groups;
  layer->window = geometry.window;
}

}  // namespace sparsecpu
