// Every measured number in one table. Claiming prices nodes by it (cost.h), lowering chooses kernels and forms by it
// (kernel_times.h, layer_pack.h). Times are of one thread.
//
// Where no other source is given: one core of a Zen 5 at 4.4 GHz; AVX2: one of a Zen 3 at 3.5 GHz, whose ratios are
// what counts. Our kernels and the CPU provider's large layers are fitted to the single layers of
// tests/kernels/bench_layers.py, which prints measured beside predicted times (most within 15 %); everything else to
// the times of all nodes of 27 networks, the CPU provider's by its profile, ours by measure().
#pragma once
#include <cstdint>

namespace sparsecpu {

// A kernel of layers on lanes. The unit is a multiply-add of one vector of 16 lanes; of bytes, of four channels in
// each.
struct KernelSpeed {
  double rate;         // units a nanosecond
  double row_end;      // units that the end of an output row takes, for each chunk of K
  double least;        // fewer vectors of positions take as long as so many: loops overlap positions
  double spilled = 1;  // the rate where the inputs of a chunk of K leave a small L1 cache, against `rate`
};

// Products of bytes that the CPU provider has no fast kernel for. Operations a nanosecond; weight_ns: what each weight
// takes besides, in every run.
struct SlowProducts {
  double rate, weight_ns, depthwise;
};

// Layers of floats or bytes at one level. Operations (two for a multiply-add) a nanosecond where not said otherwise.
struct LayerSpeed {
  double cpu;             // the CPU provider's dense kernels, large layers
  double cpu_end;         // nanoseconds: what each value of the output of its convolutions takes besides
  double gather_row = 0;  // of bytes, nanoseconds: what it takes to gather a window's row at one position
  SlowProducts cpu_signed{}, cpu_integer_conv{};  // of bytes: s8 * s8; ConvInteger with s8 weights
  KernelSpeed dense, stream;
  KernelSpeed code{};  // generated; rate 0: none is
  double depthwise_cpu, depthwise;
  double weight_bytes;    // bytes a nanosecond: weights read once by the CPU provider, for a few rows
  double remote_bytes;    // the same where they come from memory, see kCachedWeights
  double few_rows;        // the sparse kernel's nonzeros (groups) a nanosecond and row
  double few_rows_one;    // our dense kernel for one row against the CPU provider's
  double few_rows_dense;  // and for a few
};

// Everything else, in bytes a nanosecond.
struct PassSpeed {
  double cache;    // elementwise passes, read and written bytes alike
  double convert;  // row-major <-> lanes, and NCHW <-> NCHWc
};

struct LevelSpeed {
  LayerSpeed floats, bytes;
  PassSpeed passes;
  bool small_cache;  // an L1 cache of 32 KB, in which chunks of K have to stay
};

// The CPU provider has SSE2 everywhere.
constexpr LevelSpeed kScalarSpeed{
    .floats = {.cpu = 62,
               .cpu_end = 0.068,
               .dense = {0.44, 2, 1},
               .stream = {0.37, 3, 1},
               .depthwise_cpu = 45,
               .depthwise = 12,
               .weight_bytes = 30,
               .remote_bytes = 15,
               .few_rows = 0.5,
               .few_rows_one = 0.95,
               .few_rows_dense = 0.95},
    .bytes = {.cpu = 166,
              .cpu_end = 0.036,
              .gather_row = 8,
              .cpu_signed = {22, 1.5, 19},
              .cpu_integer_conv = {20, 0, 1},
              .dense = {0.44, 4, 1},
              .stream = {0.08, 4, 1},
              .depthwise_cpu = 12,
              .depthwise = 14,
              .weight_bytes = 25,
              .remote_bytes = 15,
              .few_rows = 0.2,
              .few_rows_one = 0.7,
              .few_rows_dense = 0.7},
    .passes = {.cache = 27, .convert = 12},
    .small_cache = true,
};
// No code on AVX2: there, ResNet-50 with 80 to 95 % zeros ran 5-15 % slower than with the stream kernel (Zen 5; six
// rows of one position, or three of two, in registers). Twelve registers of sums share few inputs, so that it reads as
// often, 1.2 to 1.3 times a multiply-add, and a nonzero takes 30 to 50 bytes of code where the stream reads 6.
constexpr LevelSpeed kAvx2Speed{
    .floats = {.cpu = 90,
               .cpu_end = 0.35,
               .dense = {2.5, 2, 1.5},
               .stream = {1.9, 3, 1.6, 0.62},
               .depthwise_cpu = 62,
               .depthwise = 26,
               .weight_bytes = 52,
               .remote_bytes = 15,
               .few_rows = 1.95,
               .few_rows_one = 0.95,
               .few_rows_dense = 0.55},
    .bytes = {.cpu = 180,
              .cpu_end = 0.036,
              .gather_row = 8,
              .cpu_signed = {22, 1.5, 19},
              .cpu_integer_conv = {20, 0, 1},
              .dense = {0.75, 4, 1.2},
              .stream = {1.2, 8, 1.2},
              .depthwise_cpu = 24,
              .depthwise = 38,
              .weight_bytes = 35,
              .remote_bytes = 15,
              .few_rows = 0.6,
              .few_rows_one = 0.5,
              .few_rows_dense = 0.45},
    .passes = {.cache = 31, .convert = 18},
    .small_cache = true,
};
// weight_bytes is no more than twice what memory gives: there is no other price for it.
constexpr LevelSpeed kAvx512Speed{
    .floats = {.cpu = 245,
               .cpu_end = 0.068,
               .dense = {7.4, 2, 1.4},
               .stream = {4.4, 3.5, 1.4},
               .code = {7.7, 6, 1},
               .depthwise_cpu = 140,
               .depthwise = 65,
               .weight_bytes = 30,
               .remote_bytes = 30,
               .few_rows = 3.5,
               .few_rows_one = 0.95,
               .few_rows_dense = 0.95},
    .bytes = {.cpu = 595,
              .cpu_end = 0.036,
              .gather_row = 4,
              .cpu_signed = {44, 3.2, 38},
              .cpu_integer_conv = {46, 0, 2.8},
              .dense = {2.6, 4, 1},
              .stream = {2.6, 8, 2},
              .depthwise_cpu = 78,
              .depthwise = 90,
              .weight_bytes = 30,
              .remote_bytes = 30,
              .few_rows = 1.2,
              .few_rows_one = 0.7,
              .few_rows_dense = 0.7},
    .passes = {.cache = 50, .convert = 30},
    .small_cache = false,
};
constexpr LevelSpeed kVnni512Speed{
    .floats = kAvx512Speed.floats,
    .bytes = {.cpu = 892,
              .cpu_end = 0.036,
              .gather_row = 4,
              .cpu_signed = {44, 3.2, 38},
              .cpu_integer_conv = {46, 0, 2.8},
              .dense = {8.1, 4, 1.9},
              .stream = {5.7, 8, 3},
              .code = {8.0, 4.5, 1},
              .depthwise_cpu = 117,
              .depthwise = 135,
              .weight_bytes = 30,
              .remote_bytes = 30,
              .few_rows = 1.8,
              .few_rows_one = 0.7,
              .few_rows_dense = 0.7},
    .passes = kAvx512Speed.passes,
    .small_cache = false,
};

// Generated code is fetched from beyond the L2 cache, once a layer: instructions and weights, in bytes for each nonzero
// (group of bytes), and bytes a nanosecond.
constexpr double kCodeBytes = 14, kCodeGroupBytes = 10, kCodeFetch = 60;
// It takes up to three times the memory of the weights: a layer is claimed for its zeros where it saves a quarter.
constexpr double kWorthOfCode = 0.75;

// A layer for which the CPU provider has a slow kernel only is claimed whatever its zeros where it is predicted to take
// this share of its time: of kernels so far apart, predictions need not be near.
constexpr double kWorthOfSlow = 0.7;

// A group has to be predicted faster by this share: predictions err, and a group that is slower is worse than none.
constexpr double kMargin = 0.1;

// Fixed costs.
// Of the CPU provider from runs with and without more nodes: its profile adds a microsecond to each. Zen 3.
constexpr double kCallUs = 0.5;    // a node on the CPU provider
constexpr double kConvUs = 1.0;    // a convolution there
constexpr double kStepUs = 1.0;    // a step here
constexpr double kRegionUs = 6.0;  // a fused node: the call, one parallel section, waking the workers
constexpr double kEdgeUs = 2.0;    // a conversion at its edge: a step

// Fewer rows than kFewRows: the share of nonzeros (groups) up to which a layer is claimed for its zeros, with one row
// and with kFewRows: so no layer is slower than there even where its weights lie in the cache, whatever runs between.
struct FewRowsShare {
  double one, most;
};
constexpr FewRowsShare kFewRowsNonzeros{0.15, 0.13}, kFewRowsGroups{0.4, 0.55};

// A graph of more dense weights than this reads them from memory in every run (remote_bytes).
constexpr int64_t kCachedWeights = 32 << 20;

// The CPU provider's convolutions.
constexpr int64_t kThinGroup = 8;  // groups of fewer channels leave registers partly empty
constexpr double kThinSlowdown = 2.0;
// int8 groups of few channels are products of few columns, 1 + 200/channels slower: 28 times with 8 channels.
constexpr double kGroupChannels = 200;
// int8 windows of few channels cost more to gather than to multiply; against a row of one position, a tap. Zen 3,
// within 15 % in 25 layers of 1 to 64 channels.
constexpr int64_t kFewChannels = 16;
constexpr double kGatherTap = 0.087;

// What the CPU provider's nodes lose in NCHW, against the layout that onnxruntime gives them behind convolutions, for
// each value that they make: linear Resize; of bytes Softmax over channels, and pools, partly for each tap. Zen 3.
constexpr double kPlainResizeNs = 2, kPlainSoftmaxNs = 8;
constexpr double kPlainMaxNs = 10, kPlainMaxTapNs = 2, kPlainAverageTapNs = 0.65;

// Passes over values.
constexpr double kTranscendental = 6.0;                // Erf, Exp, SiLU, ... against a plain pass over the values
constexpr double kQuotient = 4.5, kCpuQuotient = 2.4;  // of them Sigmoid and Tanh, here and on the CPU provider
constexpr double kFusedPass = 0.15;                    // arithmetic inside the kernel before, against a pass of its own
constexpr double kFusedHeavy = 0.6;                    // the same for transcendental functions
// Time on bytes against floats: the CPU provider's quantized operators gain less than the quarter that they move, its
// average pool works value by value; our conversions at edges.
constexpr double kCpuByteShare = 0.75, kCpuByteAverage = 15.0;
constexpr double kEdgeByteShare = 0.5;

// Attention.
constexpr double kSmallProducts = 0.7;   // the CPU provider's rate in products of one head, against large ones
constexpr int64_t kAttentionNodes = 12;  // Reshapes, Transposes, products, ... and what computes their shapes
// Passes over the scores beside the products: scaling and mask on the CPU provider, here within the softmax.
constexpr double kScorePasses = 4.0, kSoftmaxPasses = 3.0, kCpuSoftmaxPasses = 2.0;

// Pixels or tokens below which a 1x1 layer runs row-major instead of lane-blocked. Dense, from half of a vector's lanes
// on, lanes win; sparse floats take as long for sixteen rows in lanes as for one row-major.
constexpr int64_t kFewRows = 8, kFewSparseRows = 2;
// Vectors of positions up to which a sparse layer of floats reads its weights as a stream although generated code is
// allowed. Code is fetched from memory at a third of the speed: a BERT with 50 % zeros takes 0.6 of the time for 8
// tokens, 0.8 for 32, and 1.2 for 48. 3x3 layers of 512 channels at 4x4 pixels: 0.65.
constexpr int64_t kStreamVectors = 2;
// Generated code of at most so many bytes is worth fetching by every worker, for the fewer positions; larger code fills
// a good part of the L2 cache. With 4 positions for all code a BERT with 95 % zeros took 13 ms instead of 9.
constexpr int64_t kSmallCode = 256 * 1024;
constexpr int kLeastPositions = 4, kLeastPositionsOfLargeCode = 8;
// Nonzeros in a row of a chunk of K of the stream: a row's end takes as long as some ten, so that the sparser the rows,
// the longer their chunks, though inputs then leave the L1 cache. Against chunks of kSpmmChunkVectors ResNet-50 on AVX2
// takes 0.94 of the time with 90 % zeros, 0.90 with 95 %, the same with 80 % (Zen 5). On a Zen 3, whose L1 cache holds
// 32 KB, layers with 30 to 80 % zeros take 0.6 to 0.8 of the time with chunks that stay there.
constexpr double kChunkRowNonzeros = 100;
constexpr int64_t kSmallCacheVectors = 128;   // of four positions, 32 KB
constexpr double kSmallCacheNonzeros = 0.15;  // share of nonzeros from which a chunk stays in such a cache

// Shares of a core's L2 cache (`l2_share()` of base/cpu.h) for what a worker has in hand: half of it. Zen 5, 1 MB.
constexpr double kUnitShare = 1.0 / 2, kGoodUnitShare = 1.0 / 8;  // channels of a chain at once: at most; if possible
constexpr double kTileShare = 3.0 / 8;                            // inputs of a tile of generated code, beside the code

// How work is cut. Chunks take about a microsecond or more: multiply-adds of vectors by the kernels of layers, and by
// generated code, in which a row's end counts as so many; floats that other steps touch.
constexpr int64_t kChunkMultiplies = 4000, kChunkCodeMultiplies = 8000, kCodeRowEnd = 6;
constexpr int64_t kChunkFloats = 8 * 1024;
constexpr int64_t kFunctionFloats = 2 * 1024;  // on which functions in a row are computed: they stay in the L1 cache
constexpr int64_t kMinChunkRows = 16;          // output channels
// Chains of a layer and a depthwise one. Positions below which threads that share them would fetch generated code for
// too few; rows of the first that all parts compute together, in percent of those there are.
constexpr int64_t kMinPositionsPerWorker = 24;
constexpr int64_t kMaxPartRows = 160;
// Slices of a batch: threads that idle in the last round, and lanes that stay unused, against none. ResNet-50: slices
// of two images, which fill the lanes at 7x7, are 8 % faster than single ones.
constexpr double kMostIdle = 1.2, kMostUnused = 1.05;

// Waiting, in nanoseconds. For other workers' chunks, spinning: longer than most imbalances take, after which the
// worker that is waited for has probably lost its CPU. For threads to come to a session's first call: one that sleeps
// wakes within some 50 us where it finds a CPU. Calls so short that they do not wait for their turn.
constexpr int64_t kSpinNs = 50'000, kMusterNs = 300'000, kShortCallNs = 100'000;
// How long calls count as too many for the CPUs: longer than ONNX Runtime's idle threads spin, which takes CPUs from
// callers. How long one waits for its turn at most.
constexpr int64_t kStaysCrowdedNs = 100'000'000, kLongestWaitNs = 5'000'000;

}  // namespace sparsecpu
