// The softmax of attention where it stays among bytes: QLinearSoftmax, or a Softmax between DequantizeLinear and
// QuantizeLinear, of which onnxruntime makes one.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "ops/op.h"
#include "recognise/meaning.h"

namespace sparsecpu {

struct FoundByteSoftmax {
  ByteSoftmax meaning;
  int main = -1;           // the softmax
  int scores = -1;         // bytes of the product of queries and keys, or what else comes before the tables
  int mask = -1;           // bytes
  std::vector<int> nodes;  // between the scores and the weights
};
// The one that makes these weights, bytes.
std::optional<FoundByteSoftmax> find_byte_softmax(const RecogniseContext& context, int weights);
// A constant mask that is one byte all over becomes part of the table before the softmax.
Check fold_constant_mask(const RecogniseContext& context, FoundByteSoftmax* found);

}  // namespace sparsecpu
