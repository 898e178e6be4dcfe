// Dense INT8 weights in register blocks:
//
//   weights  u32 | rows 0..3: k = 0: groups of rows 0, 1, 2, 3 | k = 1: ... | rows 4..7: k = 0: ... |
//                  a group: | s8 channel 4g | s8 4g+1 | s8 4g+2 | s8 4g+3 |
//
// k ascends in (kernel row, kernel column, group); rows are filled up with zeros to a multiple of kQuantizedRows.
#include <algorithm>

#include "pack/groups.h"

namespace sparsecpu {

PackedQDense pack_qdense(const QuantizedLayer& layer) {
  const GroupSpace space = group_space(layer);
  if (layer.groups != 1) throw Error("pack_qdense: a grouped convolution has no dense form");
  const int64_t count = checked_mul(round_up(layer.weight.rows, kQuantizedRows), space.row_groups);
  Arena arena;
  arena.reserve(count, sizeof(uint32_t));
  PackedQDense packed;
  packed.rows = quantized_rows(layer);
  packed.memory = arena.allocate();
  uint32_t* weights = packed.memory.as<uint32_t>();
  std::fill_n(weights, count, 0u);
  for_each_row(layer, [&](int64_t row, const uint32_t* groups) {
    uint32_t* quad = weights + row / 4 * 4 * space.row_groups;
    for (int64_t k = 0; k < space.row_groups; ++k) quad[4 * k + row % 4] = groups[k];
  });
  packed.view = {layer.weight.rows, space.row_groups, weights};
  return packed;
}

}  // namespace sparsecpu
