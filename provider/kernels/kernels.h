// The kernels: pure functions on lane-blocked or row-major floats. No allocation, no threads, no
// exceptions. One KernelTable per instruction-set level; pack/levels.h lists them all, and feeds dispatch,
// tests and benchmarks. This header is included by files compiled for a level: no STL in it.
//
// Conventions. A "vector" is 16 floats, aligned to 64 bytes. Lane-blocked pointers (x, y, residual) are
// aligned to 64 bytes; row-major pointers may be aligned to 4 only, and nothing is read or written
// outside the elements named. Strides are in floats.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/elementwise.h"
#include "layout/geometry.h"
#include "layout/lane_copy.h"

namespace sparsecpu {

constexpr int kMaxTile = 16;  // positions that one call works on together

// Positions of one tile: for each, its input window's first vector, its output's first channel, and the
// residual's (null: none), which is added before the clamp. residual may equal y (in place).
struct LaneTile {
  int positions = 0;  // 1..kMaxTile
  const float* x[kMaxTile] = {};
  float* y[kMaxTile] = {};
  const float* residual[kMaxTile] = {};
};

// y = min(max(acc, lo), hi); -inf and +inf for none. NaN passes through.
struct Clamp {
  float lo, hi;
};

// Sparse weights for y[row] = bias[row] + sum_k w[row,k] * x[offset(k)], packed by pack/spmm.cc, which
// draws the byte diagram. K is cut into chunks; a chunk's vectors lie at chunk_base[chunk] + offset * 16
// floats from tile.x[p]. Rows go in blocks of kSpmmRows. Within a block and chunk they are sorted by their
// number of nonzeros, most first, so that the branch at a row's end is foreseen: in blocks of 16, 5-25 % faster than
// rows in order or in pairs; of 64, whole networks 4-5 % faster than of 16; of 128, the same. A "slot" is a row's place
// after sorting; slots of block b are [64b, 64b + 64).
constexpr int kSpmmRows = 64;
// Longest chunk worth packing for rows of many nonzeros, in input vectors. With tiles of four positions a chunk is 48
// KB: all of Zen 5's L1 cache, 1.5 times that of Zen 4. Measured on Zen 5 against 128: 80 % zeros 3 % slower, 90 %
// equal, 95 % and 3x3 kernels of 64 channels 5-12 % faster, because accumulators go through memory between chunks.
constexpr int kSpmmChunkVectors = 192;
struct SpmmWeights {
  int64_t rows = 0;
  int chunks = 0;
  const float* bias = nullptr;        // [row]
  const uint32_t* begin = nullptr;    // [chunk * rows + slot] (and one end): into weights and offsets
  const uint8_t* order = nullptr;     // [chunk * rows + slot]: the slot's row within its block
  const float* weights = nullptr;     // 16 readable entries past the end
  const uint16_t* offsets = nullptr;  // in vectors from the chunk's base; 16 readable past the end
  int64_t blocks() const { return (rows + kSpmmRows - 1) / kSpmmRows; }
};
using SpmmFn = void (*)(const SpmmWeights&, int64_t block_begin, int64_t block_end, const ptrdiff_t* chunk_base,
                        const LaneTile&, Clamp);

// Dense weights, packed in blocks of kDenseRows rows: [block][k][kDenseRows], rows padded with zeros.
// offsets[k]: the k-th input vector, in floats from tile.x[p].
constexpr int kDenseRows = 6;
struct DenseWeights {
  int64_t rows = 0, k = 0;
  const float* bias = nullptr;  // rows, padded to a multiple of kDenseRows
  const float* weights = nullptr;
  int64_t blocks() const { return (rows + kDenseRows - 1) / kDenseRows; }
};
using DenseFn = void (*)(const DenseWeights&, int64_t block_begin, int64_t block_end, const ptrdiff_t* offsets,
                         const LaneTile&, Clamp);

// Depthwise: y[c] = bias[c] + sum_t w[c*taps + t] * x[tap_offset[t] + c*16] for channels [begin, end).
// tile.residual as above.
struct DepthwiseWeights {
  int taps = 0;
  const float* weights = nullptr;  // [channel][tap]
  const float* bias = nullptr;     // [channel]
};
using DepthwiseFn = void (*)(const DepthwiseWeights&, int64_t channel_begin, int64_t channel_end,
                             const ptrdiff_t* tap_offset, const LaneTile&, Clamp);

// Few rows, row-major: y[m, row] = clamp(bias[row] + residual[m, row] + sum_k w[row, k] * x[m, k]) for rows
// [begin, end). Sparse weights as compressed rows; dense weights row-major with row stride k rounded up to 16,
// zero padded. Both drawn in pack/few_rows.cc.
struct FewRowsWeights {
  int64_t rows = 0, k = 0;
  const float* bias = nullptr;
  const float* weights = nullptr;
  const uint16_t* columns = nullptr;    // sparse: k of each nonzero, ascending in a row; null: dense
  const uint32_t* row_begin = nullptr;  // sparse: [row], and one end: into weights and columns
};
struct FewRowsArgs {
  int64_t m = 0;
  const float* x = nullptr;
  int64_t x_stride = 0;
  float* y = nullptr;
  int64_t y_stride = 0;
  const float* residual = nullptr;
  int64_t residual_stride = 0;
  Clamp clamp;
};
using FewRowsFn = void (*)(const FewRowsWeights&, int64_t row_begin, int64_t row_end, const FewRowsArgs&);

// Elementwise over `count` floats, any alignment, y may equal x (or a).
using UnaryFn = void (*)(UnaryKind, float a, float b, const float* x, float* y, int64_t count);
using BinaryFn = void (*)(BinaryKind, const float* a, const float* b, float* y, int64_t count);
// y[c*16 + l] = x[c*16 + l] * scale[c] + shift[c] for `channels` vectors.
using AffineFn = void (*)(const float* scale, const float* shift, const float* x, float* y, int64_t channels);
// The same with y = x < 0 ? x * slope : x.
using PReluFn = void (*)(const float* slope, const float* x, float* y, int64_t channels);

// One output position of a pool: element i of the output = max over taps of x[t][i], or (sum over taps) *
// lane_scale[i % 16]. count is a multiple of 16. With NaN in a tap either
// operand of max may win.
using PoolMaxFn = void (*)(const float* const* x, int taps, float* y, int64_t count);
using PoolAverageFn = void (*)(const float* const* x, int taps, const float* lane_scale, float* y, int64_t count);

// Lane permutation (layout/lane_copy.h) of channels [begin, end): every position of the copies, from x to y;
// lanes without a source become `fill`. x may equal y when no copy reads what an earlier one changed.
using PermuteFn = void (*)(const LaneCopy*, int64_t copies, const LaneSource* sources, const float* x, float* y,
                           int64_t channel_begin, int64_t channel_end, float fill);

// 16 rows of up to `count` floats to and from lanes, of each channel c of `channels`:
//   y[c * lane_step + i * stride + l] = rows[l][c * row_step + i] for i < lengths[l], else `fill`;
// and back, storing only i < lengths[l]. lengths[l] <= count; a row of length 0 may be null.
struct LaneRows {
  const int64_t* lengths = nullptr;
  int64_t count = 0, stride = 0;
  int64_t channels = 1, row_step = 0, lane_step = 0;
};
using LoadRowsFn = void (*)(const LaneRows&, const float* const* rows, float fill, float* y);
using StoreRowsFn = void (*)(const LaneRows&, const float* x, float* const* rows);

// Masked sum over positions: y[c*16 + l] = sum over p of (mask[p] bit l) ? x[offset[p] + c*16 + l] : 0, in the
// order of p, for channels [begin, end).
using SumPositionsFn = void (*)(const float* x, const ptrdiff_t* offset, const uint16_t* mask, int64_t positions,
                                int64_t channel_begin, int64_t channel_end, float* y);

// y = (x - mean) / sqrt(variance + epsilon) * scale[c] + shift[c] over the `channels` of 16 tokens (vectors) or of one
// token (floats, any alignment); y may equal x. Not centred: the mean counts as 0.
struct TokenNorm {
  const float *scale, *shift;
  float epsilon;
  bool centred;
};
using LayerNormFn = void (*)(const TokenNorm&, const float* x, float* y, int64_t channels);

// Of `channels` channels at some positions, those lanes that mask[p] has: vectors x[offset[p] + c*16]. Each lane for
// itself: how many values it has, where they lie about, and the sums of their distances from there and of the squares
// of those. A lane without values: zeros.
struct alignas(64) LaneMoments {
  float count[kLanes], centre[kLanes], distance[kLanes], square[kLanes];
};
using LaneMomentsFn = void (*)(const float* x, const ptrdiff_t* offset, const uint16_t* mask, int64_t positions,
                               int64_t channels, LaneMoments*);

// y = ((x - centre[l]) * factor[l] + shift[l]) * scale[c] + offset[c] for `channels` vectors; y may equal x.
struct alignas(64) LaneUnits {
  float centre[kLanes], factor[kLanes], shift[kLanes];
};
using NormalizeFn = void (*)(const LaneUnits&, const float* scale, const float* offset, const float* x, float* y,
                             int64_t channels);

// One head of attention between up to KernelTable::attention_tile vectors of queries and the keys of one sequence,
// lanes = tokens: y[i, e] = sum_j softmax_j(scale * <q[i], k[j]> + mask[i, j]) v[j, e]. The sequence begins at lane
// `first_lane` of a vector and may end inside one; what else those vectors hold does not matter. Scores have a slot for
// every lane of the keys' vectors: [slot][query vector][16 lanes].
constexpr int kMaxQueryVectors = 2;
struct AttentionKeys {
  int64_t keys = 0, depth = 0, value_depth = 0;
  int first_lane = 0;
  const float* k = nullptr;  // the head's first channel in the first key's vector
  const float* v = nullptr;
  int64_t k_stride = 0, v_stride = 0;  // from 16 keys to the next 16
  float scale = 1;
  const float* key_mask = nullptr;  // [keys]: added for every query; or null
  bool masked_scores = false;       // scores hold a mask, [slot][query vector][lane]
  bool mask_replaces = false;       // numbers of either mask below 0 replace the scores, others leave them
  // A query whose scores are NaN, or none of them above `unattended`, gives zeros.
  bool zero_unattended = false;
  float unattended = -__builtin_inff();

  int64_t slots() const { return (first_lane + keys + kLanes - 1) / kLanes * kLanes; }
};
struct AttentionQueries {
  int vectors = 0;  // 1..attention_tile
  const float* q[kMaxQueryVectors] = {};
  float* y[kMaxQueryVectors] = {};
  uint16_t lanes[kMaxQueryVectors] = {};  // of y that are written
};
using AttentionFn = void (*)(const AttentionKeys&, const AttentionQueries&, float* scores);

struct QuantizedKernels;  // kernels/quantized.h

struct KernelTable {
  int spmm_tile;  // positions per tile at which spmm runs best
  int dense_tile;
  int depthwise_tile;
  int attention_tile;  // query vectors, at most kMaxQueryVectors
  SpmmFn spmm;
  DenseFn dense;
  DepthwiseFn depthwise;
  FewRowsFn few_rows;
  UnaryFn unary;
  BinaryFn binary;
  AffineFn affine;
  PReluFn prelu;
  PoolMaxFn pool_max;
  PoolAverageFn pool_average;
  PermuteFn permute;
  LoadRowsFn load_rows;
  StoreRowsFn store_rows;
  SumPositionsFn sum_positions;
  LayerNormFn layer_norm;      // lanes
  LayerNormFn layer_norm_row;  // one token, row-major
  LaneMomentsFn lane_moments;
  NormalizeFn normalize;
  AttentionFn attention;
  const QuantizedKernels* quantized = nullptr;  // the same level's INT8 kernels
};

}  // namespace sparsecpu
