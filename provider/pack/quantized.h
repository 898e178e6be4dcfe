// Constant INT8 weights -> the formats of kernels/quantized.h. The result owns its memory and depends on the
// model only. What may exceed int32, or is not an s8 after its zero point is taken off, throws Error.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "base/memory.h"
#include "base/quantized.h"
#include "kernels/quantized.h"
#include "pack/pack.h"

namespace sparsecpu {

// The constant side of a quantized linear layer.
struct QuantizedLayer {
  QuantizedWeightView weight;  // channels = input channels of one group
  int64_t groups = 1;
  std::array<int64_t, 2> kernel{1, 1};
  const int32_t* bias = nullptr;  // weight.rows, or null
  // Of x, as stored (u8): folded into the bias. Known only at run time: 0; then the run's bias is
  // bias[row] - zero_point * row_sum[row].
  int input_zero_point = 0;
  bool dynamic_input = false;         // the accumulators' bound then holds for every zero point
  const float* multiplier = nullptr;  // weight.rows, or null

  int64_t nonzero_groups() const;  // what the sparse kernels would store, pairs not split; wide: both parts
};

// What all formats share: per row, padded with zeros to a multiple of kQuantizedRows. QuantizedOutput's arrays.
struct QuantizedRows {
  std::vector<int32_t> bias, row_sum;
  std::vector<float> multiplier;  // empty if the layer has none
  float largest_product = 0;      // magnitude of a sum times its multiplier, whatever x is
};

struct PackedQSpmm {
  QSpmmWeights view;
  QuantizedRows rows;
  std::vector<ChunkOrigin> origins;  // view.chunks; .channel is a multiple of 4
  int64_t groups = 0;                // stored
  AlignedBuffer memory;
};
// position_vectors: byte vectors between neighbouring grid columns of the input. A chunk is at most one kernel
// row, at most max_chunk_vectors input vectors that are used, and its offsets fit u16. split_pairs: as the kernel
// table says. The one format for wide layers.
PackedQSpmm pack_qspmm(const QuantizedLayer&, int64_t dilation_w, int64_t position_vectors, int64_t max_chunk_vectors,
                       bool split_pairs);

// K is ordered (kernel row, kernel column, group of four channels). groups must be 1.
struct PackedQDense {
  QDenseWeights view;
  QuantizedRows rows;
  AlignedBuffer memory;
};
PackedQDense pack_qdense(const QuantizedLayer&);

// groups = rows = input channels, one channel a group.
struct PackedQDepthwise {
  QDepthwiseWeights view;
  QuantizedRows rows;
  AlignedBuffer memory;
};
PackedQDepthwise pack_qdepthwise(const QuantizedLayer&);

// taps = 1, groups = 1.
struct PackedQFewRows {
  QFewRowsWeights view;
  QuantizedRows rows;
  int64_t groups = 0;  // stored
  AlignedBuffer memory;
};
PackedQFewRows pack_qfew_rows(const QuantizedLayer&, bool sparse);

}  // namespace sparsecpu
