// Attention of one head, everything vertical: a lane is a query. Scores and weighted sums are the same loop, a block of
// broadcast scalars (keys, or channels of the values) times one or two query vectors, with accumulators in registers.
#pragma once
#include "kernels/impl/softmax.h"
#include "kernels/impl/vec.h"
#include "kernels/kernels.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// Scalars (a divisor of kLanes) times query vectors in a register block: 16 zmm or 8 ymm of accumulators, enough for
// the latency of two multiply-adds a cycle.
#if defined(SPARSECPU_LEVEL_AVX512)
constexpr int kAttentionBlock = 8, kAttentionTile = 2;
#elif defined(SPARSECPU_LEVEL_AVX2)
constexpr int kAttentionBlock = 4, kAttentionTile = 1;
#else
constexpr int kAttentionBlock = 1, kAttentionTile = 1;
#endif
static_assert(kAttentionTile <= kMaxQueryVectors);

// kAttentionBlock keys from lane `lane` of a vector of keys on: scores of Q query vectors into their slots.
template <int Q>
SPARSECPU_INLINE void score_block(const AttentionKeys& a, const float* k, const float* const (&q)[Q], float* slot) {
  Vec acc[kAttentionBlock][Q];
  SPARSECPU_UNROLL
  for (int j = 0; j < kAttentionBlock; ++j) {
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) acc[j][i] = zero();
  }
  for (int64_t c = 0; c < a.depth; ++c) {
    Vec query[Q];
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) query[i] = load(q[i] + c * kVec);
    SPARSECPU_UNROLL
    for (int j = 0; j < kAttentionBlock; ++j) {
      const Vec key = set1(k[c * kVec + j]);
      SPARSECPU_UNROLL
      for (int i = 0; i < Q; ++i) acc[j][i] = fma(query[i], key, acc[j][i]);
    }
  }
  const Vec scale = set1(a.scale);
  SPARSECPU_UNROLL
  for (int j = 0; j < kAttentionBlock; ++j) {
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) {
      float* to = slot + (j * Q + i) * kVec;
      const Vec score = mul(acc[j][i], scale);
      store(to, a.masked_scores ? masked_score(a, score, load(to)) : score);
    }
  }
}

template <int Q>
SPARSECPU_INLINE void all_scores(const AttentionKeys& a, const float* const (&q)[Q], float* scores) {
  const int64_t begin = a.first_lane / kAttentionBlock * kAttentionBlock, end = a.first_lane + a.keys;
  for (int64_t s = begin; s < end; s += kAttentionBlock) {
    score_block<Q>(a, a.k + s / kVec * a.k_stride + s % kVec, q, scores + s * Q * kVec);
  }
}

// Channels [c, c + E) of the outputs.
template <int E, int Q>
SPARSECPU_INLINE void weigh_block(const AttentionKeys& a, const AttentionQueries& queries, const float* scores,
                                  const Vec (&inverse)[Q], int64_t c) {
  Vec acc[E][Q];
  SPARSECPU_UNROLL
  for (int e = 0; e < E; ++e) {
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) acc[e][i] = zero();
  }
  const int64_t end = a.first_lane + a.keys;
  for (int64_t s = a.first_lane; s < end;) {
    const float* v = a.v + s / kVec * a.v_stride + c * kVec;
    const int64_t until = (s / kVec + 1) * kVec < end ? (s / kVec + 1) * kVec : end;
    for (; s < until; ++s) {
      Vec weight[Q];
      SPARSECPU_UNROLL
      for (int i = 0; i < Q; ++i) weight[i] = load(scores + (s * Q + i) * kVec);
      SPARSECPU_UNROLL
      for (int e = 0; e < E; ++e) {
        const Vec value = set1(v[e * kVec + s % kVec]);
        SPARSECPU_UNROLL
        for (int i = 0; i < Q; ++i) acc[e][i] = fma(weight[i], value, acc[e][i]);
      }
    }
  }
  SPARSECPU_UNROLL
  for (int e = 0; e < E; ++e) {
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) {
      const Vec y = mul(acc[e][i], inverse[i]);
      store_lanes(queries.y[i] + (c + e) * kVec, mask_of(queries.lanes[i]),
                  a.zero_unattended ? select(less(zero(), inverse[i]), y, zero()) : y);
    }
  }
}

template <int Q>
void attend(const AttentionKeys& a, const AttentionQueries& queries, float* scores) {
  const float* q[Q];
  SPARSECPU_UNROLL
  for (int i = 0; i < Q; ++i) q[i] = queries.q[i];
  all_scores<Q>(a, q, scores);
  Vec inverse[Q];
  soften<Q>(a, scores, inverse, [](Vec x) { return exp(x); });
  int64_t c = 0;
  for (; c + kAttentionBlock <= a.value_depth; c += kAttentionBlock) {
    weigh_block<kAttentionBlock, Q>(a, queries, scores, inverse, c);
  }
  for (; c < a.value_depth; ++c) weigh_block<1, Q>(a, queries, scores, inverse, c);
}

void attention(const AttentionKeys& keys, const AttentionQueries& queries, float* scores) {
  if (queries.vectors == kAttentionTile) {
    attend<kAttentionTile>(keys, queries, scores);
  } else {
    attend<1>(keys, queries, scores);
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
