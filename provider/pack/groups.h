// Quantized weights as the INT8 kernels multiply them: four input channels of a tap in a 32-bit group.
#pragma once
#include <functional>
#include <vector>

#include "pack/fold.h"
#include "pack/quantized.h"

namespace sparsecpu {

// Groups of one position and of one row: k = tap * tap_groups + (global input channel) / 4.
struct GroupSpace {
  int64_t tap_groups = 0, row_groups = 0;
};
GroupSpace group_space(const QuantizedLayer& layer);

// visit(row, groups): every row's groups [row_groups], in ascending order of rows. Throws Error for a weight that is
// no s8 after its zero point.
void for_each_row(const QuantizedLayer& layer, const std::function<void(int64_t, const uint32_t*)>& visit);
// The same of a layer that may be wide: visit(row, groups, rest), whose sum the weights are; rest is null where the
// layer is not wide.
void for_each_wide_row(const QuantizedLayer& layer,
                       const std::function<void(int64_t, const uint32_t*, const uint32_t*)>& visit);

// Bias, row sums and multipliers. Throws Error for a row whose sums may exceed int32.
QuantizedRows quantized_rows(const QuantizedLayer& layer);

inline uint32_t pack_group(const int8_t (&w)[4]) {
  uint32_t group = 0;
  for (int j = 0; j < 4; ++j) group |= static_cast<uint32_t>(static_cast<uint8_t>(w[j])) << (8 * j);
  return group;
}

// Checked: w fits s8.
int8_t checked_weight(const QuantizedLayer& layer, int64_t row, int64_t channel, int64_t tap);

// Throws Error if extents make no sense.
void check_layer(const QuantizedLayer& layer);

}  // namespace sparsecpu
