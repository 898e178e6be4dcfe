// Constant weights -> the formats that the kernels read. Called once per layer when a session is created;
// the result owns its memory and depends on the model only, never on H, W, batch or sequence.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "base/memory.h"
#include "base/weight_view.h"
#include "kernels/kernels.h"

namespace sparsecpu {

// The constant side of a linear layer, as pack/ needs it.
struct LayerWeights {
  WeightView weight;                    // channels = input channels of one group
  int64_t groups = 1;                   // group g: rows [g*rows/groups, ...), channels [g*channels, ...)
  std::array<int64_t, 2> kernel{1, 1};  // kernel[0]*kernel[1] = weight.taps
  const float* bias = nullptr;          // weight.rows, or null
  // BatchNormalization and constant factors after the layer, folded in: w*scale[row], bias*scale[row]+shift[row].
  const float* row_scale = nullptr;
  const float* row_shift = nullptr;

  int64_t nonzeros() const;
};

// A chunk of K starts at this tap and channel; the plan turns it into a distance once the grid is known.
struct ChunkOrigin {
  int64_t kernel_row = 0, kernel_column = 0, channel = 0;
};

struct PackedSpmm {
  SpmmWeights view;                  // points into memory
  std::vector<ChunkOrigin> origins;  // view.chunks
  int64_t nonzeros = 0;
  AlignedBuffer memory;
};
// position_vectors: distance in vectors between neighbouring grid columns of the input (its channel count,
// padding included). dilation_w: in grid columns. A chunk is at most one kernel row, at most
// max_chunk_vectors input vectors that are used, and its offsets fit u16.
PackedSpmm pack_spmm(const LayerWeights&, int64_t dilation_w, int64_t position_vectors, int64_t max_chunk_vectors);

// K is ordered (kernel row, kernel column, channel). groups must be 1.
struct PackedDense {
  DenseWeights view;
  AlignedBuffer memory;
};
PackedDense pack_dense(const LayerWeights&);

// groups = rows = input channels, one channel a group.
struct PackedDepthwise {
  DepthwiseWeights view;
  AlignedBuffer memory;
};
PackedDepthwise pack_depthwise(const LayerWeights&);

// taps = 1, groups = 1. More than 65536 columns are packed as dense whatever `sparse` says.
struct PackedFewRows {
  FewRowsWeights view;
  int64_t nonzeros = 0;
  AlignedBuffer memory;
};
PackedFewRows pack_few_rows(const LayerWeights&, bool sparse);

}  // namespace sparsecpu
