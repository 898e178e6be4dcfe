// The softmax of attention, vertical: a lane is a query, scores lie as AttentionFn says.
#pragma once
#include "kernels/impl/math.h"
#include "kernels/kernels.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

SPARSECPU_INLINE Vec masked_score(const AttentionKeys& a, Vec score, Vec mask) {
  return a.mask_replaces ? select(less(mask, zero()), mask, score) : add(score, mask);
}

// Scores to e^(score - largest); returns 1 / their sum: NaN for a row of nothing but -inf, even weights for one of
// nothing but the lowest float, as in onnxruntime's softmax; 0 for a row without a score above `unattended`.
// `power` is exp.
template <int Q, class F>
SPARSECPU_INLINE void soften(const AttentionKeys& a, float* scores, Vec (&inverse)[Q], F power) {
  float* first = scores + a.first_lane * Q * kVec;
  Vec largest[Q], sum[Q];
  SPARSECPU_UNROLL
  for (int i = 0; i < Q; ++i) {
    largest[i] = set1(-__builtin_inff());
    sum[i] = zero();
  }
  for (int64_t j = 0; j < a.keys; ++j) {
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) {
      float* at = first + (j * Q + i) * kVec;
      Vec score = load(at);
      if (a.key_mask) {
        score = masked_score(a, score, set1(a.key_mask[j]));
        store(at, score);
      }
      largest[i] = max(largest[i], score);
    }
  }
  for (int64_t j = 0; j < a.keys; ++j) {
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) {
      float* at = first + (j * Q + i) * kVec;
      const Vec weight = power(sub(load(at), largest[i]));
      sum[i] = add(sum[i], weight);
      store(at, weight);
    }
  }
  SPARSECPU_UNROLL
  for (int i = 0; i < Q; ++i) {
    inverse[i] = div(set1(1.0f), sum[i]);
    if (a.zero_unattended) inverse[i] = select(less(set1(a.unattended), largest[i]), inverse[i], zero());
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
