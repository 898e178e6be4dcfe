// Depthwise INT8 weights, by vectors of four channels:
//
//   weights      u32 | vector 0: quad 0: channels 0, 1, 2, 3 | quad 1: ... | vector 1: ... |
//                      an entry: | s8 tap 4q | s8 tap 4q+1 | s8 tap 4q+2 | s8 tap 4q+3 |, taps past the last are 0
//   row_weights  u32 | vector 0: kernel row 0: channels 0, 1, 2, 3 | kernel row 1: ... | vector 1: ... |
//                      an entry: | s8 column 0 | s8 column 1 | s8 column 2 | 0 |; only for kernels 3 wide
//
// Channels past the last are zeros.
#include <algorithm>

#include "pack/groups.h"

namespace sparsecpu {
namespace {

// [vector][ceil(taps / width)][channel]: entries of `width` taps each.
void write_entries(const QuantizedLayer& layer, int64_t width, uint32_t* to) {
  const int64_t taps = layer.weight.taps, entries = ceil_div(taps, width);
  for (int64_t row = 0; row < layer.weight.rows; ++row) {
    for (int64_t entry = 0; entry < entries; ++entry) {
      int8_t group[4] = {};
      for (int64_t i = 0; i < width && entry * width + i < taps; ++i) {
        group[i] = checked_weight(layer, row, 0, entry * width + i);
      }
      to[(row / 4 * entries + entry) * 4 + row % 4] = pack_group(group);
    }
  }
}

}  // namespace

PackedQDepthwise pack_qdepthwise(const QuantizedLayer& layer) {
  check_layer(layer);
  const QuantizedWeightView& weight = layer.weight;
  if (weight.channels != 1 || layer.groups != weight.rows) {
    throw Error("pack_qdepthwise: each output channel must be a group of one input channel");
  }
  const int64_t padded = round_up(weight.rows, 4);
  const int64_t quads = checked_mul(padded, ceil_div(weight.taps, 4));
  const int64_t rows = layer.kernel[1] == 3 ? checked_mul(padded, layer.kernel[0]) : 0;
  Arena arena;
  const int64_t quads_at = arena.reserve(quads, sizeof(uint32_t));
  const int64_t rows_at = arena.reserve(rows, sizeof(uint32_t));
  PackedQDepthwise packed;
  packed.rows = quantized_rows(layer);
  packed.memory = arena.allocate();
  uint32_t* by_quad = reinterpret_cast<uint32_t*>(packed.memory.data() + quads_at);
  uint32_t* by_row = reinterpret_cast<uint32_t*>(packed.memory.data() + rows_at);
  std::fill_n(by_quad, quads, 0u);
  std::fill_n(by_row, rows, 0u);
  write_entries(layer, 4, by_quad);
  if (rows > 0) write_entries(layer, 3, by_row);
  packed.view = {static_cast<int>(weight.taps), static_cast<int>(layer.kernel[1]), by_quad, rows > 0 ? by_row : nullptr,
                 weight.rows};
  return packed;
}

}  // namespace sparsecpu
