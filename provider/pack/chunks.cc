#include "pack/chunks.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace sparsecpu {
namespace {

// The used columns of one kernel row, in chunks of nearly equal size; a chunk ends early where an offset
// would not fit.
void cut_kernel_row(const std::vector<uint32_t>& columns, const ColumnSpace& space, int64_t column_vectors,
                    int64_t max_vectors, Chunking* chunking) {
  const int64_t count = static_cast<int64_t>(columns.size());
  const int64_t limit = ceil_div(count, ceil_div(count, max_vectors));
  const auto distance = [&](uint32_t k) {
    return checked_add(checked_mul(k / space.tap_columns % space.kernel[1], column_vectors), k % space.tap_columns);
  };
  int64_t in_chunk = 0, origin = 0;
  for (uint32_t k : columns) {
    const bool fits = distance(k) - origin <= std::numeric_limits<uint16_t>::max();
    if (in_chunk == 0 || in_chunk == limit || !fits) {
      if (in_chunk > 0) chunking->end.push_back(k);
      const int64_t tap = k / space.tap_columns;
      chunking->origins.push_back({tap / space.kernel[1], tap % space.kernel[1], k % space.tap_columns});
      origin = distance(k);
      in_chunk = 0;
    }
    chunking->offset[k] = static_cast<uint16_t>(distance(k) - origin);
    ++in_chunk;
  }
  chunking->end.push_back(columns.back() + 1);
}

}  // namespace

Chunking cut_into_chunks(const ColumnSpace& space, int64_t column_vectors, int64_t max_vectors) {
  const int64_t row_columns = space.kernel[1] * space.tap_columns;
  Chunking chunking;
  chunking.offset.resize(space.used.size());
  std::vector<uint32_t> columns;
  for (int64_t kernel_row = 0; kernel_row < space.kernel[0]; ++kernel_row) {
    columns.clear();
    for (int64_t k = kernel_row * row_columns; k < (kernel_row + 1) * row_columns; ++k) {
      if (space.used[static_cast<size_t>(k)]) columns.push_back(static_cast<uint32_t>(k));
    }
    if (!columns.empty()) cut_kernel_row(columns, space, column_vectors, max_vectors, &chunking);
  }
  if (chunking.origins.empty()) {  // all weights are zero: one chunk stores the bias
    chunking.origins.push_back({});
    chunking.end.push_back(0);
  }
  return chunking;
}

void sort_slots(const int64_t* lengths, int64_t count, int* order) {
  std::iota(order, order + count, 0);
  std::stable_sort(order, order + count, [&](int a, int b) { return lengths[a] > lengths[b]; });
}

}  // namespace sparsecpu
