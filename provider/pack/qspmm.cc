// Sparse INT8 weights for the stream kernel:
//
//   weights  u32 | chunk 0: block 0: slot 0's groups, slot 1's, ... slot 15's | block 1: ... | chunk 1: ...
//                  a group: | s8 channel 4g | s8 4g+1 | s8 4g+2 | s8 4g+3 |
//   offsets  u16 | the same entries: the input vector's distance in vectors from the chunk's origin
//   begin    u32 | [(chunk * blocks + block) * 16 + slot]: first entry of the slot; one more at the end
//   order     u8 | [the same]: the slot's row, 0..15, within its block
//
// Within a slot entries ascend in (kernel row, kernel column, group). Slots of a block and chunk are sorted by their
// number of entries, most first; rows past the last one are empty slots at the end.
//
// Split pairs: vpmaddubsw adds two neighbouring products in int16. A group with a pair whose sum could exceed that
// becomes two entries of the same offset: the pair's first weight goes to one, its second to the other. So do groups of
// wide layers with a weight that is no s8: what is left of it goes to the other.
#include <algorithm>
#include <limits>
#include <string>

#include "pack/chunks.h"
#include "pack/groups.h"

namespace sparsecpu {
namespace {

struct Entries {
  std::vector<int64_t> begin{0};  // [row], and one end
  std::vector<uint32_t> k, weight;
};

bool pair_saturates(int first, int second) {
  const int most = std::max(first, 0) + std::max(second, 0), least = std::min(first, 0) + std::min(second, 0);
  return 255 * most > std::numeric_limits<int16_t>::max() || 255 * least < std::numeric_limits<int16_t>::min();
}

// The second weights of pairs that saturate: what a second entry must hold.
uint32_t excess_of(uint32_t group) {
  uint32_t excess = 0;
  for (int pair = 0; pair < 4; pair += 2) {
    const int first = static_cast<int8_t>(group >> (8 * pair)), second = static_cast<int8_t>(group >> (8 * pair + 8));
    if (pair_saturates(first, second)) excess |= group & (0xffu << (8 * pair + 8));
  }
  return excess;
}

Entries collect_entries(const QuantizedLayer& layer, const GroupSpace& space, bool split_pairs) {
  Entries entries;
  const auto add = [&](int64_t k, uint32_t weight) {
    entries.k.push_back(static_cast<uint32_t>(k));
    entries.weight.push_back(weight);
  };
  const auto add_group = [&](int64_t k, uint32_t group) {
    if (group == 0) return;
    const uint32_t excess = split_pairs ? excess_of(group) : 0;
    add(k, group ^ excess);
    if (excess != 0) add(k, excess);
  };
  for_each_wide_row(layer, [&](int64_t, const uint32_t* groups, const uint32_t* rest) {
    for (int64_t k = 0; k < space.row_groups; ++k) {
      add_group(k, groups[k]);
      if (rest != nullptr) add_group(k, rest[k]);
    }
    entries.begin.push_back(static_cast<int64_t>(entries.k.size()));
  });
  if (entries.begin.back() > std::numeric_limits<uint32_t>::max()) {
    throw Error("a quantized layer with " + std::to_string(entries.begin.back()) +
                " nonzero groups of weights is too large; 2^32 - 1 is the limit");
  }
  return entries;
}

struct QSpmmArrays {
  uint32_t *weights, *begin;
  uint8_t* order;
  uint16_t* offsets;
};

QSpmmArrays allocate(int64_t slots, int64_t entries, AlignedBuffer* memory) {
  Arena arena;
  const int64_t weights = arena.reserve(entries, sizeof(uint32_t));
  const int64_t offsets = arena.reserve(entries, sizeof(uint16_t));
  const int64_t begin = arena.reserve(slots + 1, sizeof(uint32_t));
  const int64_t order = arena.reserve(slots, 1);
  *memory = arena.allocate();
  std::byte* base = memory->data();
  return {reinterpret_cast<uint32_t*>(base + weights), reinterpret_cast<uint32_t*>(base + begin),
          reinterpret_cast<uint8_t*>(base + order), reinterpret_cast<uint16_t*>(base + offsets)};
}

// Writes one block of one chunk; cursor[row] is the row's first entry not yet written.
void write_block(const Entries& entries, const Chunking& chunking, uint32_t chunk_end, int64_t first,
                 std::vector<int64_t>* cursor, int64_t slot_at, int64_t* written, const QSpmmArrays& arrays) {
  const int64_t rows = static_cast<int64_t>(cursor->size());
  int64_t stop[kQuantizedRows] = {}, length[kQuantizedRows] = {};
  int order[kQuantizedRows];
  for (int64_t i = 0; i < kQuantizedRows && first + i < rows; ++i) {
    stop[i] = (*cursor)[first + i];
    while (stop[i] < entries.begin[first + i + 1] && entries.k[stop[i]] < chunk_end) ++stop[i];
    length[i] = stop[i] - (*cursor)[first + i];
  }
  sort_slots(length, kQuantizedRows, order);
  for (int slot = 0; slot < kQuantizedRows; ++slot) {
    arrays.begin[slot_at + slot] = static_cast<uint32_t>(*written);
    arrays.order[slot_at + slot] = static_cast<uint8_t>(order[slot]);
    if (length[order[slot]] == 0) continue;
    int64_t& next = (*cursor)[first + order[slot]];
    for (; next < stop[order[slot]]; ++next, ++*written) {
      arrays.weights[*written] = entries.weight[next];
      arrays.offsets[*written] = chunking.offset[entries.k[next]];
    }
  }
}

}  // namespace

PackedQSpmm pack_qspmm(const QuantizedLayer& layer, int64_t dilation_w, int64_t position_vectors,
                       int64_t max_chunk_vectors, bool split_pairs) {
  const GroupSpace groups = group_space(layer);
  if (dilation_w < 1 || position_vectors < groups.tap_groups || max_chunk_vectors < 1) {
    throw Error("pack_qspmm: dilation and chunk length must be at least 1, a position at least as long as its vectors");
  }
  const Entries entries = collect_entries(layer, groups, split_pairs);
  ColumnSpace space{layer.kernel, groups.tap_groups, std::vector<bool>(static_cast<size_t>(groups.row_groups))};
  for (uint32_t k : entries.k) space.used[k] = true;
  const Chunking chunking = cut_into_chunks(space, checked_mul(dilation_w, position_vectors), max_chunk_vectors);

  PackedQSpmm packed;
  packed.rows = quantized_rows(layer);
  packed.groups = entries.begin.back();
  packed.origins = chunking.origins;
  for (ChunkOrigin& origin : packed.origins) origin.channel *= 4;
  packed.view.rows = layer.weight.rows;
  packed.view.chunks = static_cast<int>(chunking.origins.size());
  const int64_t slots = checked_mul(checked_mul(packed.view.chunks, packed.view.blocks()), kQuantizedRows);
  const QSpmmArrays arrays = allocate(slots, packed.groups, &packed.memory);
  std::vector<int64_t> cursor(entries.begin.begin(), entries.begin.end() - 1);
  int64_t written = 0, slot = 0;
  for (uint32_t chunk_end : chunking.end) {
    for (int64_t first = 0; first < layer.weight.rows; first += kQuantizedRows, slot += kQuantizedRows) {
      write_block(entries, chunking, chunk_end, first, &cursor, slot, &written, arrays);
    }
  }
  arrays.begin[slots] = static_cast<uint32_t>(written);
  packed.view.begin = arrays.begin;
  packed.view.order = arrays.order;
  packed.view.weights = arrays.weights;
  packed.view.offsets = arrays.offsets;
  return packed;
}

}  // namespace sparsecpu
