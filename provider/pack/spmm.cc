// Sparse weights for the stream kernel:
//
//   weights  f32 | chunk 0: block 0: slot 0's nonzeros, slot 1's, ... | block 1: ... | chunk 1: ... | 16 spare
//   offsets  u16 | the same entries: the input vector's distance in vectors from the chunk's origin | 16 spare
//   begin    u32 | [chunk * rows + slot]: first entry of the slot; one more at the end
//   order    u8  | [chunk * rows + slot]: the slot's row within its block of kSpmmRows rows
//   bias     f32 | [row]
//
// Within a slot entries ascend in (kernel row, kernel column, channel). Slots of a block and chunk are sorted
// by their number of entries, most first; equal ones by row.
#include <algorithm>

#include "pack/chunks.h"
#include "pack/fold.h"

namespace sparsecpu {
namespace {

constexpr int64_t kSpareEntries = 16;  // entries a kernel may read past the end

struct SpmmArrays {
  float *bias, *weights;
  uint32_t* begin;
  uint8_t* order;
  uint16_t* offsets;
};

SpmmArrays allocate(int64_t rows, int64_t slots, int64_t nonzeros, PackedSpmm* packed) {
  Arena arena;
  const int64_t weights = arena.reserve(nonzeros + kSpareEntries, sizeof(float));
  const int64_t offsets = arena.reserve(nonzeros + kSpareEntries, sizeof(uint16_t));
  const int64_t begin = arena.reserve(slots + 1, sizeof(uint32_t));
  const int64_t order = arena.reserve(slots, 1);
  const int64_t bias = arena.reserve(rows, sizeof(float));
  packed->memory = arena.allocate();
  std::byte* base = packed->memory.data();
  return {reinterpret_cast<float*>(base + bias), reinterpret_cast<float*>(base + weights),
          reinterpret_cast<uint32_t*>(base + begin), reinterpret_cast<uint8_t*>(base + order),
          reinterpret_cast<uint16_t*>(base + offsets)};
}

// Writes the streams of one chunk; cursor[row] is the row's first nonzero not yet written.
void write_chunk(const Nonzeros& nonzeros, const Chunking& chunking, int64_t chunk, std::vector<int64_t>* cursor,
                 int64_t* written, const SpmmArrays& arrays) {
  const int64_t rows = static_cast<int64_t>(cursor->size());
  const uint32_t chunk_end = chunking.end[static_cast<size_t>(chunk)];
  for (int64_t first = 0; first < rows; first += kSpmmRows) {
    const int64_t in_block = std::min<int64_t>(kSpmmRows, rows - first);
    int64_t stop[kSpmmRows], length[kSpmmRows];
    int order[kSpmmRows];
    for (int64_t i = 0; i < in_block; ++i) {
      stop[i] = (*cursor)[first + i];
      while (stop[i] < nonzeros.begin[first + i + 1] && nonzeros.k[stop[i]] < chunk_end) ++stop[i];
      length[i] = stop[i] - (*cursor)[first + i];
    }
    sort_slots(length, in_block, order);
    for (int64_t slot = 0; slot < in_block; ++slot) {
      const int64_t at = chunk * rows + first + slot;
      arrays.begin[at] = static_cast<uint32_t>(*written);
      arrays.order[at] = static_cast<uint8_t>(order[slot]);
      int64_t& next = (*cursor)[first + order[slot]];
      for (; next < stop[order[slot]]; ++next, ++*written) {
        arrays.weights[*written] = nonzeros.value[next];
        arrays.offsets[*written] = chunking.offset[nonzeros.k[next]];
      }
    }
  }
}

}  // namespace

PackedSpmm pack_spmm(const LayerWeights& layer, int64_t dilation_w, int64_t position_vectors,
                     int64_t max_chunk_vectors) {
  const Nonzeros nonzeros = collect_nonzeros(layer);
  const int64_t channels = layer.groups * layer.weight.channels;
  if (dilation_w < 1 || position_vectors < channels || max_chunk_vectors < 1) {
    throw Error("pack_spmm: dilation and chunk length must be at least 1, a position at least as long as its channels");
  }
  ColumnSpace space{layer.kernel, channels, std::vector<bool>(static_cast<size_t>(nonzeros.columns))};
  for (uint32_t k : nonzeros.k) space.used[k] = true;
  const Chunking chunking = cut_into_chunks(space, checked_mul(dilation_w, position_vectors), max_chunk_vectors);
  const int64_t rows = layer.weight.rows, chunks = static_cast<int64_t>(chunking.origins.size());

  PackedSpmm packed;
  packed.origins = chunking.origins;
  packed.nonzeros = nonzeros.begin.back();
  const SpmmArrays arrays = allocate(rows, checked_mul(chunks, rows), packed.nonzeros, &packed);
  for (int64_t row = 0; row < rows; ++row) arrays.bias[row] = folded_bias(layer, row);
  std::vector<int64_t> cursor(nonzeros.begin.begin(), nonzeros.begin.end() - 1);
  int64_t written = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    write_chunk(nonzeros, chunking, chunk, &cursor, &written, arrays);
  }
  arrays.begin[chunks * rows] = static_cast<uint32_t>(written);
  std::fill_n(arrays.weights + written, kSpareEntries, 0.0f);
  std::fill_n(arrays.offsets + written, kSpareEntries, uint16_t{0});
  packed.view = {rows,         static_cast<int>(chunks), arrays.bias,   arrays.begin,
                 arrays.order, arrays.weights,           arrays.offsets};
  return packed;
}

}  // namespace sparsecpu
