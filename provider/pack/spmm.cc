// Sparse weights for the stream kernel:
//
//   weights  f32 | chunk 0: block 0: slot 0's nonzeros, slot 1's, ... slot 15's | block 1: ... | chunk 1: ... | 16
//   spare offsets  u16 | the same entries: the input vector's distance in vectors from the chunk's origin          | 16
//   spare begin    u32 | [chunk * rows + slot]: first entry of the slot; one more at the end order     u8 | [chunk *
//   rows + slot]: the slot's row, 0..15, within its block of 16 rows bias     f32 | [row]
//
// Within a slot entries ascend in (kernel row, kernel column, channel). Slots of a block and chunk are sorted
// by their number of entries, most first; equal ones by row.
#include <algorithm>
#include <limits>
#include <numeric>

#include "pack/fold.h"

namespace sparsecpu {
namespace {

constexpr int64_t kSpare = 16;  // entries a kernel may read past the end

// Where each input column of the layer (k of Nonzeros) is found.
struct Chunking {
  std::vector<ChunkOrigin> origins;
  std::vector<uint32_t> end;     // [chunk]: its columns lie below this k
  std::vector<uint16_t> offset;  // [k], for used columns
};

std::vector<bool> used_columns(const Nonzeros& nonzeros) {
  std::vector<bool> used(static_cast<size_t>(nonzeros.columns));
  for (uint32_t k : nonzeros.k) used[k] = true;
  return used;
}

// The used columns of one kernel row, in chunks of nearly equal size; a chunk ends early where an offset
// would not fit.
void cut_kernel_row(const std::vector<uint32_t>& columns, const LayerWeights& layer, int64_t column_vectors,
                    int64_t max_vectors, Chunking* chunking) {
  const int64_t channels = layer.groups * layer.weight.channels;
  const int64_t count = static_cast<int64_t>(columns.size());
  const int64_t limit = ceil_div(count, ceil_div(count, max_vectors));
  const auto distance = [&](uint32_t k) {
    return checked_add(checked_mul(k / channels % layer.kernel[1], column_vectors), k % channels);
  };
  int64_t in_chunk = 0, origin = 0;
  for (uint32_t k : columns) {
    const bool fits = distance(k) - origin <= std::numeric_limits<uint16_t>::max();
    if (in_chunk == 0 || in_chunk == limit || !fits) {
      if (in_chunk > 0) chunking->end.push_back(k);
      const int64_t tap = k / channels;
      chunking->origins.push_back({tap / layer.kernel[1], tap % layer.kernel[1], k % channels});
      origin = distance(k);
      in_chunk = 0;
    }
    chunking->offset[k] = static_cast<uint16_t>(distance(k) - origin);
    ++in_chunk;
  }
  chunking->end.push_back(columns.back() + 1);
}

Chunking cut_into_chunks(const LayerWeights& layer, const Nonzeros& nonzeros, int64_t column_vectors,
                         int64_t max_vectors) {
  const std::vector<bool> used = used_columns(nonzeros);
  const int64_t row_columns = layer.kernel[1] * layer.groups * layer.weight.channels;
  Chunking chunking;
  chunking.offset.resize(static_cast<size_t>(nonzeros.columns));
  std::vector<uint32_t> columns;
  for (int64_t kernel_row = 0; kernel_row < layer.kernel[0]; ++kernel_row) {
    columns.clear();
    for (int64_t k = kernel_row * row_columns; k < (kernel_row + 1) * row_columns; ++k) {
      if (used[static_cast<size_t>(k)]) columns.push_back(static_cast<uint32_t>(k));
    }
    if (!columns.empty()) cut_kernel_row(columns, layer, column_vectors, max_vectors, &chunking);
  }
  if (chunking.origins.empty()) {  // all weights are zero: one chunk stores the bias
    chunking.origins.push_back({});
    chunking.end.push_back(0);
  }
  return chunking;
}

struct Arrays {
  float *bias, *weights;
  uint32_t* begin;
  uint8_t* order;
  uint16_t* offsets;
};

Arrays allocate(int64_t rows, int64_t slots, int64_t nonzeros, PackedSpmm* packed) {
  Arena arena;
  const int64_t weights = arena.reserve(nonzeros + kSpare, sizeof(float));
  const int64_t offsets = arena.reserve(nonzeros + kSpare, sizeof(uint16_t));
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
                 int64_t* written, const Arrays& arrays) {
  const int64_t rows = static_cast<int64_t>(cursor->size());
  const uint32_t chunk_end = chunking.end[static_cast<size_t>(chunk)];
  for (int64_t first = 0; first < rows; first += kSpmmRows) {
    const int64_t in_block = std::min<int64_t>(kSpmmRows, rows - first);
    int64_t stop[kSpmmRows];
    int order[kSpmmRows];
    std::iota(order, order + in_block, 0);
    for (int64_t i = 0; i < in_block; ++i) {
      stop[i] = (*cursor)[first + i];
      while (stop[i] < nonzeros.begin[first + i + 1] && nonzeros.k[stop[i]] < chunk_end) ++stop[i];
    }
    const auto length = [&](int i) { return stop[i] - (*cursor)[first + i]; };
    std::stable_sort(order, order + in_block, [&](int a, int b) { return length(a) > length(b); });
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
  const Chunking chunking =
      cut_into_chunks(layer, nonzeros, checked_mul(dilation_w, position_vectors), max_chunk_vectors);
  const int64_t rows = layer.weight.rows, chunks = static_cast<int64_t>(chunking.origins.size());

  PackedSpmm packed;
  packed.origins = chunking.origins;
  packed.nonzeros = nonzeros.begin.back();
  const Arrays arrays = allocate(rows, checked_mul(chunks, rows), packed.nonzeros, &packed);
  for (int64_t row = 0; row < rows; ++row) arrays.bias[row] = folded_bias(layer, row);
  std::vector<int64_t> cursor(nonzeros.begin.begin(), nonzeros.begin.end() - 1);
  int64_t written = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    write_chunk(nonzeros, chunking, chunk, &cursor, &written, arrays);
  }
  arrays.begin[chunks * rows] = static_cast<uint32_t>(written);
  std::fill_n(arrays.weights + written, kSpare, 0.0f);
  std::fill_n(arrays.offsets + written, kSpare, uint16_t{0});
  packed.view = {rows,         static_cast<int>(chunks), arrays.bias,   arrays.begin,
                 arrays.order, arrays.weights,           arrays.offsets};
  return packed;
}

}  // namespace sparsecpu
