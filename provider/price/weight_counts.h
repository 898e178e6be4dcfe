// Zeros of constant weights, counted once however many nodes use them and for however many sizes they are priced.
#pragma once
#include <cstdint>
#include <map>
#include <tuple>

#include "ops/op.h"

namespace sparsecpu {

struct WeightCount {
  int64_t nonzeros = 0;
  int64_t groups = 0, nonzero_groups = 0;  // of bytes: of four input channels
  int64_t wide_groups = 0;                 // of these, with a weight that is no int8
  bool finite = true;                      // of floats: no infinity, no NaN
};

class WeightCounts {
 public:
  const WeightCount& of(const WeightView& weight);
  const WeightCount& of(const QuantizedWeightView& weight);

 private:
  // Data, what they depend on beside the view (a scale of zero, zero points), extents and strides.
  using Key = std::tuple<const void*, const void*, bool, int64_t, int64_t, int64_t, int64_t, int64_t>;
  std::map<Key, WeightCount> counts_;
};

// Of the weights of a layer as the CPU provider reads them; else 0.
int64_t dense_weight_bytes(const Op& op);

}  // namespace sparsecpu
