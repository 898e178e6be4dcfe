#include "ops/attention.h"

#include "base/error.h"

namespace sparsecpu {

Shape output_of(const Attention& attention, const Shapes& inputs) {
  const Shape &q = inputs[0], &k = inputs[1], &v = inputs[2];
  for (const Shape& shape : {q, k, v}) expect_rank(shape, 3, 3);
  Shape scores{q[0], attention.heads, q[1], k[1]};
  const auto joins = [&](const Shape& other) {  // as ONNX's operators broadcast
    const std::optional<Shape> both = broadcast_shape(scores, other);
    if (both) scores = *both;
    return both && scores.size() == 4 && scores[1] == attention.heads;
  };
  bool fits = joins({k[0], 1, 1, 1}) && joins({v[0], 1, 1, 1});
  if (attention.mask == MaskKind::kLengths) {
    expect_rank(inputs[3], 1, 1);
    const int64_t count = inputs[3][0], batch = scores[0];
    if (count != batch && count != 2 * batch && count != 3 * batch + 2) {
      throw Error("its mask has " + std::to_string(count) + " numbers; of a batch of " + std::to_string(batch) +
                  " one each, two each or three each and two are expected");
    }
  } else if (attention.mask != MaskKind::kNone && !joins(mask_over_scores(attention.mask, inputs[3], q[0], k[1]))) {
    throw Error("its mask has shape " + dims_text(inputs[3]) + "; it has to broadcast to " + dims_text(scores));
  }
  fits = fits && scores[3] == v[1] && k[2] == q[2] && q[2] % attention.heads == 0 && v[2] % attention.heads == 0;
  if (!fits) {
    throw Error("its queries, keys and values have shapes " + dims_text(q) + ", " + dims_text(k) + " and " +
                dims_text(v) + "; [batch,queries,c], [batch,keys,c] and [batch,keys,d] of " +
                std::to_string(attention.heads) + " heads are expected");
  }
  return {scores[0], scores[2], v[2]};
}

Shape QuantizedAttention::shape(const Shapes& inputs) const {
  const Shape result = output_of(*this, inputs);
  const int64_t unit = 4 * heads;
  if (inputs[0][2] % unit != 0 || result[2] % unit != 0) {
    throw Error("its heads have " + std::to_string(inputs[0][2] / heads) + " and " + std::to_string(result[2] / heads) +
                " channels; multiples of 4 are expected of bytes");
  }
  return result;
}

Shape mask_over_scores(MaskKind kind, const Shape& mask, int64_t batch, int64_t keys) {
  if (kind == MaskKind::kLengths) return {batch, 1, 1, keys};
  if (mask.empty() || kind != MaskKind::kPadding) return mask;
  return {mask[0], 1, mask.size() == 3 ? mask[1] : 1, mask.back()};
}

}  // namespace sparsecpu
