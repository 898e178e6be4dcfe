// The softmax of byte attention that ONNX Runtime's QLinearSoftmax computes: a lane is a query; scores hold bytes as
// floats, and lie as AttentionFn says.
#pragma once
#include "kernels/impl/qvec.h"
#include "kernels/quantized.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// The byte of a score with that of its mask.
struct MaskVectors {
  Vec score_ratio, mask_ratio, shift, sign;
  bool score_leads;

  explicit MaskVectors(const SoftmaxOfBytes& softmax)
      : score_ratio(set1(softmax.score_ratio)),
        mask_ratio(set1(softmax.mask_ratio)),
        shift(set1(softmax.shift)),
        sign(set1(softmax.sign)),
        score_leads(softmax.score_leads) {}
  SPARSECPU_INLINE Vec operator()(Vec byte, Vec mask) const {
    const Vec score = sub(byte, sign);
    const Vec sum = score_leads ? fused(score, score_ratio, fused(mask, mask_ratio, shift))
                                : fused(mask, mask_ratio, fused(score, score_ratio, shift));
    return add(round_small(clamp(sum, sub(zero(), sign), sub(set1(255), sign))), sign);
  }
};

// Scores to powers; returns their sums.
template <int Q>
SPARSECPU_INLINE void soften_bytes(const AttentionKeys& a, const SoftmaxOfBytes& softmax, float* scores,
                                   Vec (&sum)[Q]) {
  float* first = scores + a.first_lane * Q * kVec;
  const MaskVectors masked(softmax);
  Vec shift[Q];
  SPARSECPU_UNROLL
  for (int i = 0; i < Q; ++i) shift[i] = sum[i] = zero();
  for (int64_t j = 0; j < a.keys; ++j) {
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) {
      float* at = first + (j * Q + i) * kVec;
      Vec byte = load(at);
      if (a.key_mask != nullptr) {
        byte = masked(byte, set1(a.key_mask[j]));
        store(at, byte);
      }
      shift[i] = max(shift[i], byte);
    }
  }
  SPARSECPU_UNROLL
  for (int i = 0; i < Q; ++i) shift[i] = sub(set1(255), shift[i]);
  for (int64_t j = 0; j < a.keys; ++j) {
    SPARSECPU_UNROLL
    for (int i = 0; i < Q; ++i) {
      float* at = first + (j * Q + i) * kVec;
      const Vec power = gather(softmax.powers, to_ints(add(load(at), shift[i])));
      sum[i] = add(sum[i], power);
      store(at, power);
    }
  }
}

// Powers to whole numbers of steps.
struct StepVectors {
  Vec steps, sum, per_power;  // per_power: steps / sum

  SPARSECPU_INLINE Vec operator()(Vec power) const {
    const Vec count = min(mul(power, per_power), set1(300));
    const Vec rounded = round_small(count);
    const Mask near_tie = less(set1(0.49f), magnitude(sub(count, rounded)));
    return any(near_tie) ? select(near_tie, at_tie(power, count), rounded) : rounded;
  }

  // The sign of power * steps - (lower + 1/2) * sum decides. Both products are exact as a sum of two floats, their high
  // parts are so close to each other that the difference is exact, and the low ones are multiples of a unit of which
  // they are fewer than 2^24: steps and lower are small.
  SPARSECPU_INLINE Vec at_tie(Vec power, Vec count) const {
    const Vec half = set1(0.5f), one = set1(1), none = zero();
    const Vec lower = round_small(sub(count, half)), tie = add(lower, half);
    const Vec left = mul(power, steps), right = mul(tie, sum);
    const Vec left_rest = fused(power, steps, sub(none, left)), right_rest = fused(tie, sum, sub(none, right));
    const Vec difference = add(sub(left, right), sub(left_rest, right_rest));
    const Vec even = mul(set1(2), round_small(mul(tie, half)));
    return select(less(none, difference), add(lower, one), select(less(difference, none), lower, even));
  }
};

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
