// What the steps of layers of floats and of bytes share: what they read and write, where their weights begin.
#pragma once
#include <optional>
#include <vector>

#include "lower/layer_pack.h"
#include "lower/operands.h"
#include "run/linear_steps.h"

namespace sparsecpu {

// Its output is an image of several pixels.
bool has_pixels(const Stage& stage, const Placement& placement);

// What a step of a layer in lanes works on.
struct LayerOperands {
  LinearShape shape;
  WindowInput x;
  std::optional<Operand> addend;
  LaneTensor y;
  std::optional<FloatTail> tail;
  std::vector<int> more_buffers;  // the tail's
};

// Distances in floats from a position's first tap to where chunks of weights begin. per_vector: channels in a vector.
std::vector<ptrdiff_t> chunk_bases(const std::vector<ChunkOrigin>& origins, const LayerOperands& operands,
                                   int64_t per_vector);
// Of all input vectors, tap by tap.
std::vector<ptrdiff_t> dense_offsets(const WindowInput& x, int64_t vectors);
void set_code(JitStep& step, const PackedJit& code, const LayerOperands& operands);
// The weights of a step, in so many blocks; tile: positions that its kernel computes together.
template <class S, class Packed>
void set_weights(S& step, const Packed& packed, int tile, int64_t blocks, int64_t block_rows) {
  step.weights = &packed.view;
  step.tile = tile;
  step.blocks = blocks;
  step.block_rows = block_rows;
}

int64_t position_bytes(const LaneTensor& tensor);

}  // namespace sparsecpu
