// LayerNorm in two passes over the channels: the mean first, then the sums of the distances from it and of their
// squares, which keeps the variance of values far from zero. What the first sum is away from zero is the rounding of
// the mean, and is taken off. Four sums each, so that additions do not wait for one another.
#pragma once
#include "kernels/impl/reduce.h"
#include "kernels/impl/vec.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

constexpr int kNormSums = 4;

struct NormSum {
  Vec total = zero();
  SPARSECPU_INLINE void add_one(Vec x) { total = add(total, x); }
  SPARSECPU_INLINE void add_all(const NormSum& other) { total = add(total, other.total); }
};

struct NormSums {
  Vec distance = zero(), square = zero();
  SPARSECPU_INLINE void add_one(Vec d) {
    distance = add(distance, d);
    square = fma(d, d, square);
  }
  SPARSECPU_INLINE void add_all(const NormSums& other) {
    distance = add(distance, other.distance);
    square = add(square, other.square);
  }
};

// Sum over i in [0, count) of term(i), for terms that are independent vectors.
template <class Sum, class F>
SPARSECPU_INLINE Sum sum_of(int64_t count, F term) {
  Sum sum[kNormSums];
  int64_t i = 0;
  for (; i + kNormSums <= count; i += kNormSums) {
    SPARSECPU_UNROLL
    for (int s = 0; s < kNormSums; ++s) sum[s].add_one(term(i + s));
  }
  for (; i < count; ++i) sum[0].add_one(term(i));
  sum[0].add_all(sum[1]);
  sum[2].add_all(sum[3]);
  sum[0].add_all(sum[2]);
  return sum[0];
}

// A distance from the rounded mean becomes (distance - offset) * factor; 0 where squares overflow.
struct NormUnit {
  Vec offset, factor;
  SPARSECPU_INLINE NormUnit(Vec distances, Vec squares, Vec share, float epsilon) : offset(mul(distances, share)) {
    const Vec mean_square = mul(squares, share);
    const Vec variance = max(sub(mean_square, mul(offset, offset)), zero());
    const Mask finite = less(mean_square, set1(__builtin_inff()));
    factor = div(set1(1.0f), sqrt(add(select(finite, variance, mean_square), set1(epsilon))));
  }
  SPARSECPU_INLINE Vec of(Vec distance) const { return mul(sub(distance, offset), factor); }
};

// 16 tokens at once.
void layer_norm(const TokenNorm& norm, const float* x, float* y, int64_t channels) {
  const Vec share = set1(1.0f / static_cast<float>(channels));
  Vec mean = zero();
  if (norm.centred) mean = mul(sum_of<NormSum>(channels, [&](int64_t c) { return load(x + c * kVec); }).total, share);
  const auto distance = [&](int64_t c) { return sub(load(x + c * kVec), mean); };
  const NormSums sums = sum_of<NormSums>(channels, distance);
  const NormUnit unit(norm.centred ? sums.distance : zero(), sums.square, share, norm.epsilon);
  for (int64_t c = 0; c < channels; ++c) {
    store(y + c * kVec, fma(unit.of(distance(c)), set1(norm.scale[c]), set1(norm.shift[c])));
  }
}

// One token: lanes run along its channels.
void layer_norm_row(const TokenNorm& norm, const float* x, float* y, int64_t channels) {
  const int64_t whole = channels / kVec * kVec, tail = channels - whole;
  const float share = 1.0f / static_cast<float>(channels);
  Vec mean = zero();
  if (norm.centred) {
    const Vec sum = sum_of<NormSum>(whole / kVec, [&](int64_t i) { return loadu(x + i * kVec); }).total;
    mean = set1(sum_lanes(add(sum, load_first(x + whole, tail))) * share);
  }
  NormSums sums = sum_of<NormSums>(whole / kVec, [&](int64_t i) { return sub(loadu(x + i * kVec), mean); });
  const Mask in_tail = mask_of(static_cast<uint16_t>((1u << tail) - 1u));
  sums.add_one(select(in_tail, sub(load_first(x + whole, tail), mean), zero()));
  const Vec distances = norm.centred ? set1(sum_lanes(sums.distance)) : zero();
  const NormUnit unit(distances, set1(sum_lanes(sums.square)), set1(share), norm.epsilon);
  const auto normal = [&](Vec v, Vec s, Vec t) { return fma(unit.of(sub(v, mean)), s, t); };
  for (int64_t i = 0; i < whole; i += kVec) {
    storeu(y + i, normal(loadu(x + i), loadu(norm.scale + i), loadu(norm.shift + i)));
  }
  const Vec last =
      normal(load_first(x + whole, tail), load_first(norm.scale + whole, tail), load_first(norm.shift + whole, tail));
  store_first(y + whole, last, tail);
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
