// How K is cut into chunks for the kernels that walk sparse weights.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "pack/pack.h"

namespace sparsecpu {

// The columns of K that some row uses: k = tap * tap_columns + vector within the tap's position.
struct ColumnSpace {
  std::array<int64_t, 2> kernel{1, 1};
  int64_t tap_columns = 0;  // input vectors of one grid position
  std::vector<bool> used;   // [k]
};

struct Chunking {
  std::vector<ChunkOrigin> origins;  // .channel counts vectors
  std::vector<uint32_t> end;         // [chunk]: its columns lie below this k
  std::vector<uint16_t> offset;      // [k], for used columns: in vectors from the chunk's origin
};

// A chunk is at most one kernel row and at most max_vectors used columns; its offsets fit u16. column_vectors:
// distance in vectors between the taps of neighbouring kernel columns. At least one chunk.
Chunking cut_into_chunks(const ColumnSpace&, int64_t column_vectors, int64_t max_vectors);

// The order of `count` slots of a block by their lengths, most first; equal ones by row.
void sort_slots(const int64_t* lengths, int64_t count, int* order);

}  // namespace sparsecpu
