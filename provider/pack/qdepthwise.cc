// Depthwise INT8 weights, by vectors of four channels:
//
//   weights      u32 | vector 0: quad 0: channels 0, 1, 2, 3 | quad 1: ... | vector 1: ... |
//                      an entry: | s8 tap 4q | s8 tap 4q+1 | s8 tap 4q+2 | s8 tap 4q+3 |, taps past the last are 0
//   weights_3x3  u32 | vector 0: kernel row 0: channels 0, 1, 2, 3 | kernel row 1 | kernel row 2 | last column | ...
//                      an entry: | s8 tap | s8 next tap | s8 next tap | 0 |; only for kernels of 3x3
//
// Channels past the last are zeros.
#include <algorithm>

#include "pack/groups.h"

namespace sparsecpu {
namespace {

// Entry `index` of `entries` of every vector: the taps that tap_at(0..3) names; those past the last are zeros.
template <class TapAt>
void write_entries(const QuantizedLayer& layer, int64_t index, int64_t entries, uint32_t* to, const TapAt& tap_at) {
  for (int64_t row = 0; row < layer.weight.rows; ++row) {
    int8_t group[4] = {};
    for (int64_t i = 0; i < 4; ++i) {
      const int64_t tap = tap_at(i);
      if (tap < layer.weight.taps) group[i] = checked_weight(layer, row, 0, tap);
    }
    to[(row / 4 * entries + index) * 4 + row % 4] = pack_group(group);
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
  const int64_t squares = layer.kernel == std::array<int64_t, 2>{3, 3} ? checked_mul(padded, 4) : 0;
  Arena arena;
  const int64_t quads_at = arena.reserve(quads, sizeof(uint32_t));
  const int64_t squares_at = arena.reserve(squares, sizeof(uint32_t));
  PackedQDepthwise packed;
  packed.rows = quantized_rows(layer);
  packed.memory = arena.allocate();
  uint32_t* by_quad = reinterpret_cast<uint32_t*>(packed.memory.data() + quads_at);
  uint32_t* square = reinterpret_cast<uint32_t*>(packed.memory.data() + squares_at);
  std::fill_n(by_quad, quads, 0u);
  std::fill_n(square, squares, 0u);
  const int64_t quads_each = ceil_div(weight.taps, 4);
  for (int64_t q = 0; q < quads_each; ++q) {
    write_entries(layer, q, quads_each, by_quad, [&](int64_t i) { return 4 * q + i; });
  }
  if (squares > 0) {
    for (int64_t r = 0; r < 3; ++r) {
      write_entries(layer, r, 4, square, [&](int64_t i) { return i < 3 ? 3 * r + i : weight.taps; });
    }
    write_entries(layer, 3, 4, square, [&](int64_t i) { return i < 3 ? 3 * i + 2 : weight.taps; });
  }
  packed.view = {static_cast<int>(weight.taps), by_quad, squares > 0 ? square : nullptr, weight.rows};
  return packed;
}

}  // namespace sparsecpu
