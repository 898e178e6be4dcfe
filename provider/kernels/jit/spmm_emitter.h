// Emits machine code for a piece of a sparse layer: the sparsity pattern is the code.
//
// A segment computes up to kJitRows output channels of one position from a run of input vectors. Each row's
// accumulator stays in a register; an input vector with any nonzero in the segment is loaded once, and each
// nonzero (int8: group of four) is one multiply-add with its weight as a broadcast memory operand. Weights lie behind
// the code. A layer's rows form blocks; a block's input vectors form one or more segments, which carry the sums through
// y. An int8 block begins with the bias of the run and ends in a routine that its caller chooses (finish_emitter.h).
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"

namespace sparsecpu {

constexpr int kJitRows = 28;  // of 32 zmm registers: 2 for input vectors, 2 for the clamp

struct JitFinish;

// x: the position's first tap. y, residual (or null): the block's first row; y of int8 segments: sums. row_base[i]:
// distance in floats from x to kernel row i. prefetch: memory of which this call brings
// `JitSegmentSource::prefetch_lines` cache lines nearer, usually the next segment. finish: read by int8 segments.
using JitFn = void (*)(const float* x, float* y, const float* residual, const ptrdiff_t* row_base, const void* prefetch,
                       const JitFinish* finish);

struct JitColumn {
  int32_t kernel_row;
  int64_t offset;         // bytes from the kernel row's base
  uint32_t first, count;  // entries of JitSegmentSource
};
struct JitEntry {
  uint8_t row;      // within the block
  uint32_t weight;  // a float's bits, or four s8
};
struct JitSegmentSource {
  int rows = 0;          // int8: a multiple of four
  bool integer = false;  // u8 inputs, s8 weights, int32 sums; else floats
  // Of the block's segments: the first starts from the bias, others from y; the last finishes, others store to y.
  bool first = false, last = false;
  const float* bias = nullptr;  // floats: `rows` entries
  Clamp clamp{};                // floats
  const JitColumn* columns = nullptr;
  size_t column_count = 0;
  const JitEntry* entries = nullptr;
  int prefetch_lines = 0;
};

// Position-independent code and its weights, to be copied to a 64-byte boundary.
std::vector<uint8_t> emit_spmm_segment(const JitSegmentSource& source);

// Whether this build has an emitter, and the system allows code to be made.
bool can_generate_code();

}  // namespace sparsecpu
