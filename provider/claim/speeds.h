// Every measured number in one table. Claiming predicts times by it (cost.h), lowering chooses kernels and forms by it
// (layer_pack.h). Times are of one thread.
//
// Where no other source is given: one core of a Zen 5 at 4.4 GHz, fitted to the times of all nodes of 27 networks, the
// CPU provider's by its profile (half of 1266 convolutions within 9 %), ours by measure(); other levels scaled.
#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "base/isa.h"

namespace sparsecpu {

// Speeds at one level: operations (two for a multiply-add) and bytes per nanosecond.
struct MachineSpeed {
  double cpu_flops;     // the CPU provider's dense kernels, large layers
  double sparse_flops;  // our SpMM on the nonzeros, no lane wasted
  double dense_flops;   // our dense kernel, no lane wasted
  double depthwise_cpu_flops, depthwise_flops;
  double cache_bytes;    // elementwise passes, read and written bytes alike
  double weight_bytes;   // weights streamed once, for a few rows
  double convert_bytes;  // row-major <-> lanes, and NCHW <-> NCHWc
  double token_rate;     // sparse_flops on tokens as a share: K is long and its chunks spill
};
constexpr MachineSpeed kMachineSpeeds[] = {
    {62, 11, 11, 45, 12, 27, 25, 12, 0.72},      // scalar here; the CPU provider has SSE2 everywhere
    {115, 71, 84, 80, 34, 41, 30, 24, 0.72},     // AVX2
    {225, 136, 160, 140, 65, 50, 30, 30, 0.88},  // AVX-512
    {225, 136, 160, 140, 65, 50, 30, 30, 0.88},  // AVX-512 with VNNI: no other floats
};

// The same of quantized layers. sparse is set so that the sparse kernel overtakes the CPU provider's dense one where
// that was measured: at 60-70 % zeros without structure or 25 % in groups, that is at 75-80 % of the groups.
struct QuantizedSpeed {
  double cpu, sparse;
  double depthwise_cpu, depthwise;
  double weight_bytes;
};
constexpr QuantizedSpeed kQuantizedSpeeds[] = {
    {166, 27, 12, 14, 25},     // scalar here; the CPU provider has SSE2 everywhere
    {445, 316, 58, 68, 30},    // AVX2
    {595, 426, 78, 90, 30},    // AVX-512
    {892, 638, 117, 135, 30},  // AVX-512 VNNI
};

constexpr std::size_t kLevels = static_cast<std::size_t>(Isa::kAvx512Vnni) + 1;
static_assert(std::size(kMachineSpeeds) == kLevels && std::size(kQuantizedSpeeds) == kLevels, "a row for every level");
constexpr const MachineSpeed& machine_speed(Isa isa) { return kMachineSpeeds[static_cast<int>(isa)]; }
constexpr const QuantizedSpeed& quantized_speed(Isa isa) { return kQuantizedSpeeds[static_cast<int>(isa)]; }

// Fixed costs.
constexpr double kCallUs = 2.5;    // a node on the CPU provider
constexpr double kConvUs = 7.0;    // a convolution there
constexpr double kStepUs = 1.0;    // a step here
constexpr double kRegionUs = 6.0;  // a fused node: the call, one parallel section, waking the workers
constexpr double kEdgeUs = 2.0;    // a conversion at its edge: a step

// Sparse kernels.
constexpr double kFewPositions = 0.84;     // rate with at most 4 vectors of positions: less to overlap
constexpr double kEpilogueFmas = 4.0;      // an output vector costs as much as so many nonzeros
constexpr double kEpilogueGroups = 6.0;    // int8: requantizing it, as so many groups
constexpr double kQuantizedTokens = 0.85;  // int8: rate on tokens

// A few rows: reading the weights takes the time. As measured before there was generated code.
constexpr int64_t kManyRows = 16;
constexpr double kRowZeros = 0.85, kManyRowZeros = 0.55;  // zeros needed with 1 row, with 16
constexpr double kRowGroups = 0.4, kManyRowGroups = 0.7;  // int8: groups that may be nonzero
constexpr double kDenseRowRate = 0.95;                    // our dense kernel against the CPU provider's

// The CPU provider's convolutions.
constexpr double kFloatOutputNs = 0.068, kByteOutputNs = 0.036;  // for each value of the output
constexpr int64_t kThinGroup = 8;  // groups of fewer channels leave registers partly empty
constexpr double kThinSlowdown = 2.0;
// int8 groups of few channels are products of few columns, 1 + 200/channels slower: 28 times with 8 channels.
constexpr double kGroupChannels = 200;
// int8 windows of few channels are gathered byte by byte (ResNet-50's first layer).
constexpr int64_t kFewChannels = 16;
constexpr double kFewChannelsSlowdown = 3.0;
constexpr double kQuantizedDense = 0.7;  // our dense int8 kernel against the CPU provider's

// Passes over values.
constexpr double kTranscendental = 6.0;  // Erf, Tanh, Sigmoid, ... against a plain pass over the values
constexpr double kFusedPass = 0.15;      // arithmetic inside the kernel before, against a pass of its own
constexpr double kFusedHeavy = 0.6;      // the same for transcendental functions
// Time on bytes against floats: the CPU provider's quantized operators gain less than the quarter that they move, its
// average pool works value by value; our conversions at edges.
constexpr double kCpuByteShare = 0.75, kCpuByteAverage = 15.0;
constexpr double kEdgeByteShare = 0.5;

// Attention and normalization.
constexpr double kSmallProducts = 0.7;   // the CPU provider's rate in products of one head, against large ones
constexpr int64_t kAttentionNodes = 12;  // Reshapes, Transposes, products, ... and what computes their shapes
// Passes over the scores beside the products: scaling and mask on the CPU provider, here within the softmax.
constexpr double kScorePasses = 4.0, kSoftmaxPasses = 3.0, kCpuSoftmaxPasses = 2.0;
// Sum, squares, result; there is one node, or nine.
constexpr double kNormPasses = 1.5, kCpuNormPasses = 2.0;

// Lowering: above this share of nonzeros (int8: of groups of four) the register-blocked dense kernel beats the stream.
constexpr double kDenseFromDensity = 0.55, kDenseFromGroupDensity = 0.6;
// And generated code, at 14 bytes a nonzero: with 30 % zeros BERT takes 0.70 of the dense kernel's time, ResNet-50
// 0.76.
constexpr double kDenseFromDensityOfCode = 0.8;
// Pixels or tokens below which a 1x1 layer runs row-major instead of lane-blocked: from half of a vector's lanes on,
// lanes win. 768 -> 3072 with 90 % zeros: 81 us for up to 16 rows, 67 us for each row otherwise.
constexpr int64_t kFewRows = 8;
// Generated code of at most so many bytes is worth fetching by every worker, for the fewer positions; larger code fills
// a good part of the L2 cache. With 4 positions for all code a BERT with 95 % zeros took 13 ms instead of 9.
constexpr int64_t kSmallCode = 256 * 1024;
constexpr int kLeastPositions = 4, kLeastPositionsOfLargeCode = 8;
// Nonzeros in a row of a chunk of K of the stream: a row's end takes as long as some ten, so that the sparser the rows,
// the longer their chunks, though inputs then leave the L1 cache. Against chunks of kSpmmChunkVectors ResNet-50 on AVX2
// takes 0.94 of the time with 90 % zeros, 0.90 with 95 %, the same with 80 %.
constexpr double kChunkRowNonzeros = 100;

}  // namespace sparsecpu
