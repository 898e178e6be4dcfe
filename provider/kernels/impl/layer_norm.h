// LayerNorm in two passes over the channels: the mean first, then the sum of squared distances from it, which keeps
// the variance of values far from zero. Four sums each, so that additions do not wait for one another.
#pragma once
#include "kernels/impl/reduce.h"
#include "kernels/impl/vec.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

constexpr int kNormSums = 4;

// Sum over i in [0, count) of term(i), for terms that are independent vectors.
template <class F>
SPARSECPU_INLINE Vec sum_of(int64_t count, F term) {
  Vec sum[kNormSums];
  SPARSECPU_UNROLL
  for (int s = 0; s < kNormSums; ++s) sum[s] = zero();
  int64_t i = 0;
  for (; i + kNormSums <= count; i += kNormSums) {
    SPARSECPU_UNROLL
    for (int s = 0; s < kNormSums; ++s) sum[s] = add(sum[s], term(i + s));
  }
  for (; i < count; ++i) sum[0] = add(sum[0], term(i));
  return add(add(sum[0], sum[1]), add(sum[2], sum[3]));
}

// 16 tokens at once.
void layer_norm(const float* scale, const float* shift, float epsilon, const float* x, float* y, int64_t channels) {
  const Vec share = set1(1.0f / static_cast<float>(channels));
  const Vec mean = mul(sum_of(channels, [&](int64_t c) { return load(x + c * kVec); }), share);
  const Vec squares = sum_of(channels, [&](int64_t c) {
    const Vec distance = sub(load(x + c * kVec), mean);
    return mul(distance, distance);
  });
  const Vec factor = div(set1(1.0f), sqrt(fma(squares, share, set1(epsilon))));
  for (int64_t c = 0; c < channels; ++c) {
    const Vec unit = mul(sub(load(x + c * kVec), mean), factor);
    store(y + c * kVec, fma(unit, set1(scale[c]), set1(shift[c])));
  }
}

// One token: lanes run along its channels.
void layer_norm_row(const float* scale, const float* shift, float epsilon, const float* x, float* y, int64_t channels) {
  const int64_t whole = channels / kVec * kVec, tail = channels - whole;
  const float share = 1.0f / static_cast<float>(channels);
  const Vec sum = sum_of(whole / kVec, [&](int64_t i) { return loadu(x + i * kVec); });
  const Vec mean = set1(sum_lanes(add(sum, load_first(x + whole, tail))) * share);
  const auto square = [](Vec distance) { return mul(distance, distance); };
  const Vec squares = sum_of(whole / kVec, [&](int64_t i) { return square(sub(loadu(x + i * kVec), mean)); });
  const Mask in_tail = mask_of(static_cast<uint16_t>((1u << tail) - 1u));
  const Vec rest = select(in_tail, square(sub(load_first(x + whole, tail), mean)), zero());
  const Vec variance = set1(sum_lanes(add(squares, rest)) * share);
  const Vec factor = div(set1(1.0f), sqrt(add(variance, set1(epsilon))));
  const auto normal = [&](Vec v, Vec s, Vec t) { return fma(mul(sub(v, mean), factor), s, t); };
  for (int64_t i = 0; i < whole; i += kVec) storeu(y + i, normal(loadu(x + i), loadu(scale + i), loadu(shift + i)));
  const Vec last =
      normal(load_first(x + whole, tail), load_first(scale + whole, tail), load_first(shift + whole, tail));
  store_first(y + whole, last, tail);
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
