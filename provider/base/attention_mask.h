// What the mask of attention holds: the vocabulary of recognise/, which reads it from a model, and run/, which makes
// floats of it.
#pragma once

namespace sparsecpu {

// A mask broadcasts to the scores, [batch, heads, queries, keys], or its rank says what its axes are.
enum class MaskKind {
  kNone,
  kAdded,    // floats, added to the scores; bytes, to scores of bytes
  kKeeps,    // bools: scores at false are masked
  kDrops,    // bools: scores at true are masked
  kPadding,  // int32 [batch, keys] or [batch, queries, keys]: scores at numbers below 1 are masked
  kLengths,  // int32 [batch]: scores of the keys from that number on are masked; [2 * batch]: behind these numbers, of
             // the keys before others, too; [3 * batch + 2]: behind them what onnxruntime's CPU provider does not read
};

}  // namespace sparsecpu
