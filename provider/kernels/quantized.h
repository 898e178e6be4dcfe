// The INT8 kernels: contracts, and the struct that lists them. Like kernels.h: pure functions, no allocation,
// no threads, no exceptions, no STL. All are exact: every level gives the same bits.
//
// Bytes are unsigned. A signed tensor is stored as x ^ 0x80, that is x + 128, and its zero point as z + 128;
// "sign" below is 0x80 for such a tensor, 0 for an unsigned one. In lanes, a 64-byte vector is 16 lanes x 4
// channels: channel 4 g + j is byte j of each lane's 32 bits in vector g. Channels that are not a multiple of
// 4 end in pad bytes of any value; they meet zero weights. Lane-blocked pointers are float* as everywhere, one
// float being 32 bits of a lane; offsets and strides in lanes are in floats. Row-major pointers need no
// alignment, and nothing is read or written outside the elements named.
#pragma once
#include "kernels/kernels.h"

namespace sparsecpu {

// QLinearAdd, in the order that ONNX Runtime evaluates it, for a = the first and b = the second operand:
//   y = saturate(RNE(fma(a, a_ratio, fma(b, b_ratio, shift))))
// on the tensor's own values (signed ones where sign is 0x80). base/quantization.h computes the three numbers.
struct QuantizedSum {
  float a_ratio = 0, b_ratio = 0, shift = 0;
  uint8_t sign = 0;  // of both operands and of the result
};

// What becomes of the sums acc[row] = bias[row] + sum_k w[row,k] * x[k] of a linear kernel. Arrays have one
// entry a row; lane kernels read them up to the next multiple of kQuantizedRows rows.
struct QuantizedOutput {
  enum class Form {
    kBytes,   // RNE(clamp(float(acc) * multiplier[row], 0 - zero_point, 255 - zero_point)) + zero_point
    kFloats,  // float(acc) * multiplier[row] + float_bias[row]: two roundings; then clamped
    kInts,    // acc, as 32-bit integers
  };
  Form form = Form::kBytes;
  const int32_t* bias = nullptr;                     // minus x's zero point times the row's sum of weights included
  const float* multiplier = nullptr;                 // kBytes, kFloats
  int zero_point = 0;                                // kBytes: as stored, 0..255
  const float* float_bias = nullptr;                 // kFloats, or null
  Clamp clamp{-__builtin_inff(), __builtin_inff()};  // kFloats
  // kBytes: the residual is added to the requantized bytes. The sum's operand a is the product, unless
  // residual_is_a. Null: there is no residual.
  const QuantizedSum* sum = nullptr;
  bool residual_is_a = false;
  const uint8_t* lookup = nullptr;  // kBytes: 256 entries that the final bytes pass through, or null
};

// Lane kernels: tile.x and tile.residual are byte lanes. tile.y[p]: kBytes: the vector of rows 4 g .. 4 g + 3 at
// g * 16 floats, pad bytes included; else row r at r * 16, as in the fp32 kernels. The residual may be y itself.
// Rows go in blocks of kQuantizedRows; a call computes blocks [block_begin, block_end).
constexpr int kQuantizedRows = 16;
// Vectors of 64 bytes in a chunk of K of the sparse kernel: with a tile they must stay in the L1 data cache.
constexpr int64_t kQuantizedChunkVectors = 128;

// Sparse weights; a "group" is 4 consecutive input channels of a tap, the unit that is stored if any of its
// four weights is not zero. K is cut into chunks; a chunk's vectors lie at chunk_base[chunk] + offset * 16
// floats from tile.x[p]. Slots as in SpmmWeights. pack/qspmm.cc draws it.
struct QSpmmWeights {
  int64_t rows = 0;
  int chunks = 0;
  const uint32_t* begin = nullptr;    // [(chunk * blocks + block) * 16 + slot] (and one end)
  const uint8_t* order = nullptr;     // [the same]: the slot's row within its block
  const uint32_t* weights = nullptr;  // four s8: byte j meets channel j of the group
  const uint16_t* offsets = nullptr;  // in vectors from the chunk's base
  int64_t blocks() const { return (rows + kQuantizedRows - 1) / kQuantizedRows; }
};
using QSpmmFn = void (*)(const QSpmmWeights&, int64_t block_begin, int64_t block_end, const ptrdiff_t* chunk_base,
                         const LaneTile&, const QuantizedOutput&);

// The finish of a lane kernel by itself, for one position: rows [row_begin, row_end) from their sums at
// sums[(row - row_begin) * 16], bias included. row_begin is a multiple of 4; sums has whole quads of rows. y and
// residual as tile.y and tile.residual.
using QFinishFn = void (*)(const int32_t* sums, int64_t row_begin, int64_t row_end, const QuantizedOutput&, float* y,
                           const float* residual);

// Dense weights: [quad of rows][k][4 rows] groups; rows padded to a multiple of kQuantizedRows with zeros.
// offsets[k]: the k-th input vector, in floats from tile.x[p].
struct QDenseWeights {
  int64_t rows = 0, k = 0;  // k: groups
  const uint32_t* weights = nullptr;
  int64_t blocks() const { return (rows + kQuantizedRows - 1) / kQuantizedRows; }
};
using QDenseFn = void (*)(const QDenseWeights&, int64_t block_begin, int64_t block_end, const ptrdiff_t* offsets,
                          const LaneTile&, const QuantizedOutput&);

// Depthwise: acc[c] = bias[c] + sum_t w[c,t] * x[tap_offset[t] + vector of c], for vectors [begin, end) of four
// channels. Taps go in quads, the last filled up with zeros. pack/qdepthwise.cc draws it. All output forms.
struct QDepthwiseWeights {
  int taps = 0;
  const uint32_t* weights = nullptr;      // [vector][quad of taps][channel 0..3]: four s8, one a tap
  const uint32_t* weights_3x3 = nullptr;  // or null: [vector][kernel row 0..2, last column][channel]: w0 w1 w2 0
  int64_t channels = 0;
  int64_t vectors() const { return (channels + 3) / 4; }
};
using QDepthwiseFn = void (*)(const QDepthwiseWeights&, int64_t vector_begin, int64_t vector_end,
                              const ptrdiff_t* tap_offset, const LaneTile&, const QuantizedOutput&);

// Few rows, row-major: y[m, row] from x[m, k] u8, for rows [row_begin, row_end); y is bytes, floats or ints as
// `output` says; output.sum needs `residual` (bytes). Weights in blocks of 16 groups = 64 columns, the last
// filled up with zeros: dense, or sparse as a mask of the groups that are stored. pack/qfew_rows.cc draws it.
struct QFewRowsWeights {
  int64_t rows = 0, k = 0;              // k: columns
  const uint32_t* weights = nullptr;    // 16 readable entries past the end
  const uint16_t* masks = nullptr;      // sparse: [row][ceil(k/64)]; null: dense
  const uint32_t* row_begin = nullptr;  // sparse: first stored group of each row
};
struct QFewRowsArgs {
  int64_t m = 0;
  const uint8_t* x = nullptr;
  int64_t x_stride = 0;  // strides in elements
  void* y = nullptr;
  int64_t y_stride = 0;
  const uint8_t* residual = nullptr;
  int64_t residual_stride = 0;
  QuantizedOutput output;
};
using QFewRowsFn = void (*)(const QFewRowsWeights&, int64_t row_begin, int64_t row_end, const QFewRowsArgs&);

// QuantizeLinear, y = saturate(RNE(x / scale) + zero_point), NaN as 0 - zero_point; and back,
// y = (x - zero_point) * scale. In lanes: `channels` float vectors, ceil(channels / 4) byte vectors, whose pad
// bytes become the zero point. Flat: `count` elements of row-major tensors, stored as signed where sign is 0x80
// (zero_point is as stored: +128). A zero point is 0..255.
struct QuantizeParameters {
  float scale = 1;
  int zero_point = 0;
};
using QuantizeLanesFn = void (*)(QuantizeParameters, const float* x, float* y, int64_t channels);
using DequantizeLanesFn = void (*)(QuantizeParameters, const float* x, float* y, int64_t channels);
using QuantizeFlatFn = void (*)(QuantizeParameters, uint8_t sign, const float* x, uint8_t* y, int64_t count);
using DequantizeFlatFn = void (*)(QuantizeParameters, uint8_t sign, const uint8_t* x, float* y, int64_t count);
// y[i] = RNE(clamp(float(acc[i]) * multiplier, 0 - zero_point, 255 - zero_point)) + zero_point, flat, then ^ sign.
using RequantizeFn = void (*)(float multiplier, int zero_point, uint8_t sign, const int32_t* acc, uint8_t* y,
                              int64_t count);
// Smallest and largest of x, starting from *least and *most; NaN elements are skipped.
using MinMaxFn = void (*)(const float* x, int64_t count, float* least, float* most);

// Rows of a row-major tensor to and from byte lanes. A byte is stored ^ sign; what lies outside its row becomes a
// byte of `fill` (four bytes, byte j for channel j, not changed by sign). lengths[l] <= count; a row of length 0
// may be null.
//   planes: rows along pixels, up to four channels `plane_stride` apart:
//     y[i * stride + l] byte j = rows[l][j * plane_stride + i], for i < lengths[l], j < planes
//   channels: rows along channels:
//     y[c / 4 * stride + l] byte c % 4 = rows[l][c], for c < lengths[l]; pad bytes up to count are filled
struct ByteRows {
  uint8_t sign = 0;
  uint32_t fill = 0;  // load
  int planes = 4;     // planes: 1..4
  int64_t plane_stride = 0;
};
using LoadBytesFn = void (*)(const ByteRows&, const uint8_t* const* rows, const int64_t* lengths, int64_t count,
                             float* y, int64_t stride);
using StoreBytesFn = void (*)(const ByteRows&, const float* x, int64_t stride, int64_t count, uint8_t* const* rows,
                              const int64_t* lengths);
// Planes of `count` bytes, up to four channels, to and from pixels of 32 bits: byte j of y[i] = x[j * plane_stride +
// i], or a byte of `fill` for j >= planes. The pixels' memory is a multiple of 16 of them, also if count is not.
using InterleavePlanesFn = void (*)(const ByteRows&, const uint8_t* x, int64_t count, float* y);
using SeparatePlanesFn = void (*)(const ByteRows&, const float* x, int64_t count, uint8_t* y);

// Elementwise over `count` bytes, lanes or flat, any alignment; y may equal a or b. b_is_scalar: b[0] for all.
struct QuantizedBinary {
  QuantizedSum sum;  // add
  // multiply: saturate(RNE(float((a - a_zero) * (b - b_zero)) * multiplier + y_zero)), rounded before the zero
  // point is added and after; all as stored, sum.sign tells y_zero's own value
  float multiplier = 0;
  int a_zero = 0, b_zero = 0, y_zero = 0;
  bool b_is_scalar = false;
};
using QuantizedBinaryFn = void (*)(const QuantizedBinary&, const uint8_t* a, const uint8_t* b, uint8_t* y,
                                   int64_t count);
using LookupFn = void (*)(const uint8_t* table, const uint8_t* x, uint8_t* y, int64_t count);

// One output position of a pool: `vectors` byte vectors at each tap. Average, as QLinearAveragePool does it:
//   saturate(RNE((sum over taps, in order, of (x[t] - x_zero) * x_scale) / lane_count[lane] / y_scale + y_zero))
// taps outside the image hold x_zero and so add 0.
struct QuantizedAverage {
  QuantizeParameters x, y;            // zero points as stored
  const float* lane_count = nullptr;  // 16
  uint8_t sign = 0;                   // of x and y
};
using QPoolMaxFn = void (*)(const float* const* x, int taps, float* y, int64_t vectors);
using QPoolAverageFn = void (*)(const QuantizedAverage&, const float* const* x, int taps, float* y, int64_t vectors);
// Masked sum over positions: y[(4 g + j) * 16 + l] = sum over p of (mask[p] bit l) ? byte j of lane l of
// x[offset[p] + g * 16] : 0, for vectors [begin, end).
using QSumPositionsFn = void (*)(const float* x, const ptrdiff_t* offset, const uint16_t* mask, int64_t positions,
                                 int64_t vector_begin, int64_t vector_end, int32_t* y);
// Channels of one position into another's (Concat, Split): y's channel y_first + i = x's channel x_first + i for
// i < channels; other bytes of y stay. x and y are at channel 0 and may not overlap.
using CopyChannelsFn = void (*)(const float* x, int64_t x_first, float* y, int64_t y_first, int64_t channels);

// What a quantized layer's bytes go through as floats before they are bytes again, channels [begin, end) of one
// position: v = (x - x.zero_point) * x.scale, v * scale[c] + shift[c], + residual, an activation; each as the kernel of
// its name does it. x: byte lanes; residual (or null): floats; y: floats, or bytes if it `quantizes`. begin is a
// multiple of 4.
struct FloatStretch {
  QuantizeParameters x;
  const float* scale = nullptr;  // [channel]; null: neither scale nor shift
  const float* shift = nullptr;
  bool activates = false;
  UnaryKind kind{};
  float a = 0, b = 0;
  bool quantizes = false;
  QuantizeParameters y;
};
using FloatStretchFn = void (*)(const FloatStretch&, const float* x, const float* residual, float* y, int64_t begin,
                                int64_t end);

// Attention on byte lanes, as AttentionFn does it on floats; depth and value_depth are multiples of 4. Scores and
// weights are quantized between the two products:
//   acc = sum of (q - q_zero) * (k - k_zero), exact; score = acc * score_multiplier, as bytes rounded, limited and
//   multiplied by score_scale; weight = softmax(score * scale + mask), RNE(weight / weight_scale) + weight_zero as a
//   byte; y = sum of (weight - weight_zero) * (v - v_zero), times y_multiplier, as a byte or a float.
// With a softmax of bytes the scores' bytes are not multiplied but are what it takes; a mask then holds numbers of
// bytes. `prepare` is called for a head once, then `attend` for each tile of its queries, with the same scratch.
struct SoftmaxOfBytes {
  const float* powers = nullptr;        // [256]; null: the softmax is of floats
  const float* score_table = nullptr;   // [256] or null: what a score's byte becomes before
  const float* weight_table = nullptr;  // [256] or null: what a weight's byte becomes after
  float steps = 1;                      // a whole number below 2^23
  int zero = 0;                         // as stored
  // Of a mask, which is added as QLinearAdd adds (QuantizedSum), before the softmax: numbers are bytes minus `sign`.
  float score_ratio = 1, mask_ratio = 0, shift = 0;
  float sign = 0;           // 128: the bytes are signed ones plus 128
  bool score_leads = true;  // the scores are the operand of the outer multiply-add

  // ONNX Runtime's QLinearSoftmax on the bytes of a query, whose largest is m, summed up in the order of the keys:
  //   power[j] = powers[255 - m + byte[j]];
  //   weight[j] = RNE(power[j] * steps / sum of power) + zero, without a rounding before RNE, limited to a byte.
  bool is_used() const { return powers != nullptr; }
};
struct AttentionBytes {
  int q_zero = 0, k_zero = 0, v_zero = 0, weight_zero = 0, y_zero = 0;  // as stored
  float score_multiplier = 1;
  bool score_bytes = false;
  int score_zero = 0;
  float score_scale = 1;
  float weight_scale = 1, y_multiplier = 1;
  SoftmaxOfBytes softmax;
  bool float_output = false;  // channels as vectors of floats
};
struct AttentionScratch {
  float* keys = nullptr;           // [vector of 16 keys][4 channels][lane]: s8
  float* values = nullptr;         // [vector of 16 keys][4 channels][4 keys][channel]: s8, one a key
  int32_t* key_terms = nullptr;    // [slot]: what the zero points add to every score
  int32_t* value_terms = nullptr;  // [channel]
  float* scores = nullptr;         // [slot][query vector][lane]
  float* weights = nullptr;        // [four slots][query vector][lane]: u8

  static int64_t floats(int64_t slots, int64_t depth, int64_t value_depth, int tile) {
    return slots * (depth + value_depth) / 4 + slots + (value_depth + kLanes) + slots * tile * (kLanes + kLanes / 4);
  }
  AttentionScratch() = default;
  // In floats() floats, aligned to 64 bytes; slots is a multiple of 16.
  AttentionScratch(float* memory, int64_t slots, int64_t depth, int64_t value_depth, int tile)
      : keys(memory), values(keys + slots * depth / 4), scores(values + slots * value_depth / 4) {
    weights = scores + slots * tile * kLanes;
    key_terms = reinterpret_cast<int32_t*>(weights + slots * tile * kLanes / 4);
    value_terms = key_terms + slots;
  }
};
using PrepareAttentionFn = void (*)(const AttentionKeys&, const AttentionBytes&, const AttentionScratch&);
using AttendBytesFn = void (*)(const AttentionKeys&, const AttentionBytes&, const AttentionQueries&,
                               const AttentionScratch&);

struct QuantizedKernels {
  // Weights for `spmm` must be packed with pairs split (pack/quantized.h): this level multiplies by vpmaddubsw,
  // which saturates. Such weights are right on every level.
  bool split_pairs;
  int spmm_tile, dense_tile, depthwise_tile;  // positions per tile at which they run best
  int attention_tile;                         // query vectors, at most kMaxQueryVectors
  QSpmmFn spmm;
  QFinishFn finish;
  QDenseFn dense;
  QDepthwiseFn depthwise;
  QFewRowsFn few_rows;
  QuantizeLanesFn quantize_lanes;
  DequantizeLanesFn dequantize_lanes;
  QuantizeFlatFn quantize;
  DequantizeFlatFn dequantize;
  RequantizeFn requantize;
  MinMaxFn min_max;
  LoadBytesFn load_planes, load_channels;
  StoreBytesFn store_planes, store_channels;
  InterleavePlanesFn interleave_planes;
  SeparatePlanesFn separate_planes;
  QuantizedBinaryFn add, multiply;
  LookupFn lookup;
  QPoolMaxFn pool_max;
  QPoolAverageFn pool_average;
  QSumPositionsFn sum_positions;
  CopyChannelsFn copy_channels;
  PrepareAttentionFn prepare_attention;
  AttendBytesFn attend;
  FloatStretchFn float_stretch;
};

}  // namespace sparsecpu
