// A sparse layer as generated code.
#pragma once
#include <limits>
#include <vector>

#include "kernels/jit/code_memory.h"
#include "kernels/jit/finish_emitter.h"
#include "kernels/jit/spmm_emitter.h"
#include "pack/pack.h"
#include "pack/quantized.h"

namespace sparsecpu {

struct JitSegment {
  JitFn run = nullptr;
  int64_t first_row = 0;   // output channel
  size_t bytes = 0;        // code and weights, from `run` on
  int prefetch_lines = 0;  // that a call brings nearer
};

struct PackedJit {
  std::vector<JitSegment> segments;   // block by block, each block's in order
  std::vector<uint32_t> block_begin;  // blocks + 1: into segments
  int64_t nonzeros = 0;
  Clamp clamp{-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity()};  // floats: in the code
  std::vector<uint8_t> code;  // until place_code() moves it; whole cache lines
  size_t code_bytes = 0;
  size_t segments_at = 0;         // in the code
  const uint8_t* base = nullptr;  // where it was placed

  int64_t blocks() const { return static_cast<int64_t>(block_begin.size()) - 1; }

  // Calls visit(segment, next) for all segments of blocks [begin, end) in the order in which to run them. part_by_part:
  // every block's first segment, then every block's second, and so on. next: the segment to run then, or to expect
  // after the last one; segments.size() if there is none.
  template <class Visit>
  void visit_segments(size_t begin, size_t end, bool part_by_part, const Visit& visit) const;
};

template <class Visit>
void PackedJit::visit_segments(size_t begin, size_t end, bool part_by_part, const Visit& visit) const {
  if (!part_by_part) {
    for (size_t s = block_begin[begin]; s < block_begin[end]; ++s) visit(s, s + 1);
    return;
  }
  size_t now = segments.size(), left = block_begin[end] - block_begin[begin];
  for (size_t part = 0; left > 0; ++part) {
    for (size_t b = begin; b < end; ++b) {
      const size_t next = block_begin[b] + part;
      if (next >= block_begin[b + 1]) continue;
      if (now < segments.size()) visit(now, next);
      now = next;
      --left;
    }
  }
  if (now < segments.size()) visit(now, block_begin[end]);
}

// Calls of a segment (positions) that together bring in the next segment.
constexpr int kJitPrefetchCalls = 8;

// As pack_spmm; the clamp is part of the code. prefetch_calls: kJitPrefetchCalls, or fewer if the model says that
// there are fewer positions. To be placed before it runs.
PackedJit pack_jit(const LayerWeights& layer, int64_t dilation_w, int64_t position_vectors, Clamp clamp,
                   int prefetch_calls = kJitPrefetchCalls);

// A quantized layer. Blocks begin at multiples of four rows. JitFinish::routine is an entry of `finish`, which does
// what `form` says, or of `store`, which leaves the sums to QuantizedKernels::finish.
struct PackedQJit {
  PackedJit code;
  QuantizedRows rows;
  JitFinishForm form;
  std::vector<size_t> store, finish;  // by block, in bytes from code.base; the same where form is kSums
};
// form: if products may be too large for it (jit_clamps), the result has kSums.
PackedQJit pack_qjit(const QuantizedLayer& layer, int64_t dilation_w, int64_t position_vectors, JitFinishForm form,
                     int prefetch_calls = kJitPrefetchCalls);

// Moves the code of these layers into memory of their own, which they need as long as they run. False, with nothing
// moved, if the system refuses executable memory.
bool place_code(const std::vector<PackedJit*>& layers, CodeMemory* memory);

}  // namespace sparsecpu
