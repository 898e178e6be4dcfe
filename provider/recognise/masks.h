// Masks of attention.
#pragma once
#include <array>
#include <limits>

#include "recognise/meaning.h"

namespace sparsecpu {

// Keys, queries, heads, batch of attention scores: the axis of a value that has this size; value -1: the number `axis`,
// or nothing if that is negative.
struct ScoreAxis {
  int value = -1;
  int axis = -1;
};
using ScoreAxes = std::array<ScoreAxis, 4>;
// The largest score at which onnxruntime's Attention of opset 23 counts a key as masked.
constexpr float kUnattended = std::numeric_limits<float>::lowest();

struct Mask {
  int value = -1;
  MaskKind kind = MaskKind::kNone;
};
// Whether a mask of floats or bools (drops: true masks) broadcasts to such scores. A constant one that masks nothing is
// no mask afterwards.
Check fit_mask(const RecogniseContext&, const ScoreAxes& scores, bool drops, Mask* mask);

}  // namespace sparsecpu
