// INT8 weights for few row-major activations, columns in blocks of 16 groups = 64 columns. Dense:
//
//   weights    u32 | row 0: group 0, group 1, ..., filled up with zeros to whole blocks | row 1: ... |
//
// Sparse:
//
//   masks      u16 | row 0: block 0, block 1, ... | row 1: ... |     bit l: group 16 * block + l is stored
//   weights    u32 | row 0: its nonzero groups in ascending k | row 1: ... | 16 spare
//   row_begin  u32 | [row]: the row's first stored group
#include <algorithm>
#include <limits>
#include <string>

#include "pack/groups.h"

namespace sparsecpu {
namespace {

constexpr int64_t kBlockGroups = 16;
constexpr int64_t kSpareGroups = 16;  // a block's groups are read as one vector

void pack_dense_rows(const QuantizedLayer& layer, int64_t row_groups, PackedQFewRows* packed) {
  const int64_t stride = round_up(row_groups, kBlockGroups);
  packed->groups = checked_mul(layer.weight.rows, stride);
  Arena arena;
  arena.reserve(packed->groups, sizeof(uint32_t));
  packed->memory = arena.allocate();
  uint32_t* weights = packed->memory.as<uint32_t>();
  std::fill_n(weights, packed->groups, 0u);
  for_each_row(layer,
               [&](int64_t row, const uint32_t* groups) { std::copy_n(groups, row_groups, weights + row * stride); });
  packed->view = {layer.weight.rows, layer.weight.channels, weights, nullptr, nullptr};
}

void pack_sparse_rows(const QuantizedLayer& layer, int64_t row_groups, PackedQFewRows* packed) {
  const int64_t rows = layer.weight.rows, blocks = ceil_div(row_groups, kBlockGroups);
  std::vector<uint32_t> stored, begin;
  std::vector<uint16_t> masks(static_cast<size_t>(checked_mul(rows, blocks)));
  for_each_row(layer, [&](int64_t row, const uint32_t* groups) {
    begin.push_back(static_cast<uint32_t>(stored.size()));
    for (int64_t k = 0; k < row_groups; ++k) {
      if (groups[k] == 0) continue;
      stored.push_back(groups[k]);
      masks[static_cast<size_t>(row * blocks + k / kBlockGroups)] |= static_cast<uint16_t>(1u << k % kBlockGroups);
    }
  });
  if (stored.size() > std::numeric_limits<uint32_t>::max()) {
    throw Error("a quantized layer with " + std::to_string(stored.size()) +
                " nonzero groups of weights is too large; 2^32 - 1 is the limit");
  }
  packed->groups = static_cast<int64_t>(stored.size());
  stored.resize(stored.size() + kSpareGroups);
  Arena arena;
  const int64_t weights_at = arena.reserve(static_cast<int64_t>(stored.size()), sizeof(uint32_t));
  const int64_t masks_at = arena.reserve(static_cast<int64_t>(masks.size()), sizeof(uint16_t));
  const int64_t begin_at = arena.reserve(rows, sizeof(uint32_t));
  packed->memory = arena.allocate();
  std::byte* base = packed->memory.data();
  uint32_t* weights = reinterpret_cast<uint32_t*>(base + weights_at);
  uint16_t* mask = reinterpret_cast<uint16_t*>(base + masks_at);
  uint32_t* row_begin = reinterpret_cast<uint32_t*>(base + begin_at);
  std::copy(stored.begin(), stored.end(), weights);
  std::copy(masks.begin(), masks.end(), mask);
  std::copy(begin.begin(), begin.end(), row_begin);
  packed->view = {rows, layer.weight.channels, weights, mask, row_begin};
}

}  // namespace

PackedQFewRows pack_qfew_rows(const QuantizedLayer& layer, bool sparse) {
  const GroupSpace space = group_space(layer);
  if (layer.weight.taps != 1 || layer.groups != 1) {
    throw Error("pack_qfew_rows: only matrices have a form for few rows, not convolutions with taps or groups");
  }
  PackedQFewRows packed;
  packed.rows = quantized_rows(layer);
  if (sparse) {
    pack_sparse_rows(layer, space.row_groups, &packed);
  } else {
    pack_dense_rows(layer, space.row_groups, &packed);
  }
  return packed;
}

}  // namespace sparsecpu
