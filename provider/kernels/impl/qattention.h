// Attention of one head on byte lanes: a lane is a query, its four bytes four channels, or four keys of the weights.
// Queries and weights are the unsigned side of the products, keys and values the signed one: x ^ 0x80, so x - 128. Zero
// points become terms of a score (or an output) that are known before its sum:
//   sum (q - qz)(k - kz) = sum q (k - 128) + (128 - kz) sum q - qz sum (k - kz)
#pragma once
#include "kernels/impl/qsoftmax.h"
#include "kernels/impl/qvec.h"
#include "kernels/impl/softmax.h"
#include "kernels/quantized.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// Factors (keys or channels, a divisor of kLanes and a multiple of 4) times query vectors in a register block.
#if defined(SPARSECPU_LEVEL_AVX512)
constexpr int kByteAttentionBlock = 8, kByteAttentionTile = 2;
#else
constexpr int kByteAttentionBlock = 4, kByteAttentionTile = 1;
#endif
static_assert(kByteAttentionTile <= kMaxQueryVectors);

SPARSECPU_INLINE Ints add_signed(Ints sum, Factor x) { return add_product(sum, input_of(set_byte(1)), x); }
SPARSECPU_INLINE Ints add_unsigned(Ints sum, Input x) { return add_product(sum, x, factor_of(set_byte(1))); }

// Lanes [first, first + 16) of `from` slots on that belong to the sequence.
SPARSECPU_INLINE uint16_t used_lanes(const AttentionKeys& a, int64_t slot) {
  const int64_t begin = a.first_lane - slot, end = a.first_lane + a.keys - slot;
  const uint32_t below = begin > 0 ? (1u << begin) - 1u : 0u;
  return static_cast<uint16_t>((end < kVec ? (1u << end) - 1u : 0xffffu) & ~below);
}

void prepare_keys(const AttentionKeys& a, const AttentionBytes& b, const AttentionScratch& scratch) {
  const Bytes flip = set_byte(0x80);
  const Ints factor = set_int(-b.q_zero), depth_term = set_int((128 - b.k_zero) * static_cast<int32_t>(a.depth));
  float* to = scratch.keys;
  for (int64_t slot = 0; slot < a.slots(); slot += kVec) {
    const float* from = a.k + slot / kVec * a.k_stride;
    Ints sum = depth_term;
    for (int64_t c = 0; c < a.depth; c += 4, from += kVec, to += kVec) {
      const Bytes key = xor_bytes(load_bytes(from), flip);
      store_bytes(to, key);
      sum = add_signed(sum, factor_of(key));
    }
    store_ints(scratch.key_terms + slot, multiply_low(sum, factor));
  }
}

// Lanes outside the sequence become 0, and so add nothing.
void prepare_values(const AttentionKeys& a, const AttentionBytes& b, const AttentionScratch& scratch) {
  const Bytes flip = set_byte(0x80);
  for (int64_t c = 0; c < a.value_depth; c += 4) {
    Ints sum = set_int(0);
    for (int64_t slot = 0; slot < a.slots(); slot += kVec) {
      const float* from = a.v + slot / kVec * a.v_stride + c / 4 * kVec;
      const Vec signed_bytes = as_floats(xor_bytes(load_bytes(from), flip));
      const Bytes value = as_bytes(select(mask_of(used_lanes(a, slot)), signed_bytes, zero()));
      Ints by_key[4];
      SPARSECPU_UNROLL
      for (int j = 0; j < 4; ++j) by_key[j] = quarter_part(value, j);
      const Bytes by_channel = pack(by_key, 0);
      store_bytes(scratch.values + (slot * a.value_depth + c * kVec) / 4, by_channel);
      sum = add_signed(sum, factor_of(by_channel));
    }
    alignas(64) int32_t sums[kVec];
    store_ints(sums, sum);
    const int32_t shift = (128 - b.v_zero) * static_cast<int32_t>(a.keys);
    for (int j = 0; j < 4; ++j) {
      scratch.value_terms[c + j] = -b.weight_zero * (sums[j] + sums[4 + j] + sums[8 + j] + sums[12 + j] + shift);
    }
  }
}

void prepare_attention(const AttentionKeys& a, const AttentionBytes& b, const AttentionScratch& scratch) {
  prepare_keys(a, b, scratch);
  prepare_values(a, b, scratch);
}

// Sums to scores; for a softmax of bytes, to those.
struct ScoreVectors {
  Vec multiplier, least, most, score_scale, scale;
  bool bytes, stay_bytes;
  const AttentionKeys& attention;
  const float* table;
  MaskVectors masked_byte;

  ScoreVectors(const AttentionKeys& a, const AttentionBytes& b)
      : multiplier(set1(b.score_multiplier)),
        least(set1(static_cast<float>(-b.score_zero))),
        most(highest(b.score_zero)),
        score_scale(set1(b.score_scale)),
        scale(set1(a.scale)),
        bytes(b.score_bytes),
        stay_bytes(b.softmax.is_used()),
        attention(a),
        table(b.softmax.score_table),
        masked_byte(b.softmax) {}
  SPARSECPU_INLINE Vec masked(Vec score, Vec mask) const {
    return stay_bytes ? masked_byte(score, mask) : masked_score(attention, score, mask);
  }
  SPARSECPU_INLINE Vec operator()(Ints acc) const {
    Vec score = mul(to_float(acc), multiplier);
    if (stay_bytes) {
      score = sub(round_small(clamp(score, least, most)), least);
      return table != nullptr ? gather(table, to_ints(score)) : score;
    }
    if (bytes) score = mul(round_small(clamp(score, least, most)), score_scale);
    return mul(score, scale);
  }
};

// Slots [slot, slot + kByteAttentionBlock).
template <int Q>
SPARSECPU_INLINE void score_bytes(const AttentionKeys& a, const AttentionScratch& scratch, const ScoreVectors& score,
                                  const float* const (&q)[Q], const Ints (&query_term)[Q], int64_t slot) {
  const auto* key = reinterpret_cast<const uint32_t*>(scratch.keys + slot / kVec * kVec * a.depth / 4) + slot % kVec;
  Ints acc[kByteAttentionBlock][Q];
  SPARSECPU_UNROLL
  for (int j = 0; j < kByteAttentionBlock; ++j) {
    const Ints key_term = set_int(scratch.key_terms[slot + j]);
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) acc[j][i] = add(key_term, query_term[i]);
  }
  for (int64_t c = 0; c < a.depth / 4; ++c, key += kVec) {
    Input query[Q];
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) query[i] = input_of(load_bytes(q[i] + c * kVec));
    SPARSECPU_UNROLL
    for (int j = 0; j < kByteAttentionBlock; ++j) {
      const Factor factor = factor_of(set_lane(key[j]));
      SPARSECPU_UNROLL
      for (int i = 0; i < Q; ++i) acc[j][i] = add_product(acc[j][i], query[i], factor);
    }
  }
  SPARSECPU_UNROLL
  for (int j = 0; j < kByteAttentionBlock; ++j) {
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) {
      float* to = scratch.scores + ((slot + j) * Q + i) * kVec;
      const Vec now = score(acc[j][i]);
      store(to, a.masked_scores ? score.masked(now, load(to)) : now);
    }
  }
}

// Weights as bytes, 0 outside the sequence; returns what the values' zero point adds to the outputs. round(i, w): the
// number of weight w of query vector i that becomes a byte when `zero` is added.
template <int Q, class F>
SPARSECPU_INLINE void round_weights(const AttentionKeys& a, const AttentionBytes& b, const AttentionScratch& scratch,
                                    int zero, F round, Ints (&weight_term)[Q]) {
  const Vec most = highest(zero);
  Ints sum[Q];
  SPARSECPU_UNROLL
  for (int i = 0; i < Q; ++i) sum[i] = set_int(0);
  for (int64_t slot = 0; slot < a.slots(); slot += 4) {
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) {
      Ints rounded[4];
      SPARSECPU_UNROLL
      for (int j = 0; j < 4; ++j) {
        const bool used = slot + j >= a.first_lane && slot + j < a.first_lane + a.keys;
        const Vec weight = load(scratch.scores + ((slot + j) * Q + i) * kVec);
        rounded[j] = used ? to_ints(min(most, round(i, weight))) : set_int(INT32_MIN);
      }
      const Bytes four = pack(rounded, zero);
      store_bytes(scratch.weights + (slot / 4 * Q + i) * kVec, four);
      sum[i] = add_unsigned(sum[i], input_of(four));
    }
  }
  SPARSECPU_UNROLL
  for (int i = 0; i < Q; ++i) weight_term[i] = multiply_low(sum[i], set_int(128 - b.v_zero));
}

template <int Q>
SPARSECPU_INLINE void weights_of_floats(const AttentionKeys& a, const AttentionBytes& b,
                                        const AttentionScratch& scratch, Ints (&weight_term)[Q]) {
  // The same bits on every level: exp with one rounding a multiply-add.
  Vec factor[Q];
  soften<Q>(a, scratch.scores, factor, [](Vec x) { return exp(x, fused); });
  SPARSECPU_UNROLL
  for (int i = 0; i < Q; ++i) factor[i] = mul(factor[i], set1(1.0f / b.weight_scale));
  round_weights<Q>(
      a, b, scratch, b.weight_zero, [&](int i, Vec weight) { return mul(weight, factor[i]); }, weight_term);
}

template <int Q>
SPARSECPU_INLINE void weights_of_bytes(const AttentionKeys& a, const AttentionBytes& b, const AttentionScratch& scratch,
                                       Ints (&weight_term)[Q]) {
  const SoftmaxOfBytes& softmax = b.softmax;
  Vec sum[Q];
  soften_bytes<Q>(a, softmax, scratch.scores, sum);
  const Vec all_steps = set1(softmax.steps);
  Vec per_power[Q];
  SPARSECPU_UNROLL
  for (int i = 0; i < Q; ++i) per_power[i] = div(all_steps, sum[i]);
  const auto steps = [&](int i, Vec power) { return StepVectors{all_steps, sum[i], per_power[i]}(power); };
  if (softmax.weight_table == nullptr) return round_weights<Q>(a, b, scratch, softmax.zero, steps, weight_term);
  const Vec shift = set1(static_cast<float>(softmax.zero)), most = set1(255);
  const auto byte = [&](int i, Vec power) {
    return gather(softmax.weight_table, to_ints(min(add(steps(i, power), shift), most)));
  };
  round_weights<Q>(a, b, scratch, 0, byte, weight_term);
}

// Four channels of the output from their sums.
SPARSECPU_INLINE void finish_attention(const AttentionBytes& b, const Ints (&acc)[4], float* y, int64_t c, Mask lanes) {
  const Vec multiplier = set1(b.y_multiplier), most = highest(b.y_zero);
  if (b.float_output) {
    SPARSECPU_UNROLL
    for (int j = 0; j < 4; ++j) store_lanes(y + (c + j) * kVec, lanes, mul(to_float(acc[j]), multiplier));
    return;
  }
  Ints rounded[4];
  SPARSECPU_UNROLL
  for (int j = 0; j < 4; ++j) rounded[j] = to_ints(min(mul(to_float(acc[j]), multiplier), most));
  store_lanes(y + c / 4 * kVec, lanes, as_floats(pack(rounded, b.y_zero)));
}

// Channels [c, c + E).
template <int E, int Q>
SPARSECPU_INLINE void weigh_bytes(const AttentionKeys& a, const AttentionBytes& b, const AttentionQueries& queries,
                                  const AttentionScratch& scratch, const Ints (&weight_term)[Q], int64_t c) {
  Ints acc[Q][E];
  SPARSECPU_UNROLL
  for (int e = 0; e < E; ++e) {
    const Ints value_term = set_int(scratch.value_terms[c + e]);
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) acc[i][e] = add(value_term, weight_term[i]);
  }
  const float* weights = scratch.weights;
  for (int64_t slot = 0; slot < a.slots(); slot += 4, weights += Q * kVec) {
    const auto* value =
        reinterpret_cast<const uint32_t*>(scratch.values + (slot / kVec * kVec * a.value_depth + c * kVec) / 4) +
        slot % kVec;
    Input weight[Q];
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) weight[i] = input_of(load_bytes(weights + i * kVec));
    SPARSECPU_UNROLL
    for (int e = 0; e < E; ++e) {
      const Factor factor = factor_of(set_lane(value[e / 4 * kVec + e % 4]));
      SPARSECPU_UNROLL
      for (int i = 0; i < Q; ++i) acc[i][e] = add_product(acc[i][e], weight[i], factor);
    }
  }
  SPARSECPU_UNROLL
  for (int i = 0; i < Q; ++i) {
    SPARSECPU_UNROLL
    for (int e = 0; e < E; e += 4) {
      const Ints four[4] = {acc[i][e], acc[i][e + 1], acc[i][e + 2], acc[i][e + 3]};
      finish_attention(b, four, queries.y[i], c + e, mask_of(queries.lanes[i]));
    }
  }
}

template <int Q>
void attend_bytes(const AttentionKeys& a, const AttentionBytes& b, const AttentionQueries& queries,
                  const AttentionScratch& scratch) {
  const float* q[Q];
  Ints query_term[Q], weight_term[Q];
  SPARSECPU_UNROLL
  for (int i = 0; i < Q; ++i) {
    q[i] = queries.q[i];
    Ints sum = set_int(0);
    for (int64_t c = 0; c < a.depth / 4; ++c) sum = add_unsigned(sum, input_of(load_bytes(q[i] + c * kVec)));
    query_term[i] = multiply_low(sum, set_int(128 - b.k_zero));
  }
  const ScoreVectors score(a, b);
  const int64_t begin = a.first_lane / kByteAttentionBlock * kByteAttentionBlock;
  for (int64_t slot = begin; slot < a.first_lane + a.keys; slot += kByteAttentionBlock) {
    score_bytes<Q>(a, scratch, score, q, query_term, slot);
  }
  if (b.softmax.is_used()) {
    weights_of_bytes<Q>(a, b, scratch, weight_term);
  } else {
    weights_of_floats<Q>(a, b, scratch, weight_term);
  }
  int64_t c = 0;
  for (; c + kByteAttentionBlock <= a.value_depth; c += kByteAttentionBlock) {
    weigh_bytes<kByteAttentionBlock, Q>(a, b, queries, scratch, weight_term, c);
  }
  for (; c < a.value_depth; c += 4) weigh_bytes<4, Q>(a, b, queries, scratch, weight_term, c);
}

void attend_bytes(const AttentionKeys& keys, const AttentionBytes& bytes, const AttentionQueries& queries,
                  const AttentionScratch& scratch) {
  if (queries.vectors == kByteAttentionTile) {
    attend_bytes<kByteAttentionTile>(keys, bytes, queries, scratch);
  } else {
    attend_bytes<1>(keys, bytes, queries, scratch);
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
