// What layers of floats and of bytes share: where they run row-major, what they read, where they write, how their work
// is divided.
#pragma once
#include <optional>
#include <vector>

#include "lower/layer_pack.h"
#include "lower/operands.h"
#include "run/linear_steps.h"

namespace sparsecpu {

// Fewest output channels that are worth a chunk of their own.
constexpr int64_t kMinChunkRows = 16;

// Of few rows (tokens, or what a file declares as single pixels), by a kernel for such.
bool runs_row_major(const Stage& stage, const Placement& placement);
// Its output is an image of several pixels.
bool has_pixels(const Stage& stage, const Placement& placement);

// fill: what a border of its input holds.
void form_of_layer(const Stage& stage, FillBits fill, Placement& placement);

// Of a layer in lanes.
struct LayerOperands {
  WindowInput x;
  std::optional<Operand> addend;
  LaneTensor y;
  std::optional<Activation> post;
  std::optional<FloatTail> tail;
  std::vector<int> more_buffers;  // the tail's
};
WindowInput layer_input(const Stage& stage, FillBits fill, Planner& p);
void place_output(const Stage& stage, LayerOperands* operands, Planner& p);

// Distances from a position's first tap to where chunks of weights begin; channel_floats: from a channel to the next
// that is stored in a vector of its own, of which it takes `per_vector`.
std::vector<ptrdiff_t> chunk_bases(const std::vector<ChunkOrigin>& origins, const Window& window, const WindowInput& x,
                                   int64_t per_vector);
// Of all input vectors, tap by tap.
std::vector<ptrdiff_t> dense_offsets(const WindowInput& x, int64_t vectors);
void set_code(JitStep& step, const Window& window, const PackedJit& code, const LayerOperands& operands);

void partition(LaneLinearStep& step, const Workers& workers);
void partition(JitStep& step, const Workers& workers);

int64_t position_bytes(const LaneTensor& tensor);
// The inputs of a tile share half of the L2 cache with the code.
constexpr int64_t kTileBytes = 384 * 1024;

template <class S>
void add_layer(std::unique_ptr<S> step, const char* kernel, int64_t out_channels, const LayerOperands& operands,
               Planner& p) {
  const int y = operands.y.ref.buffer;
  step->kernels = &p.emission.kernels();
  step->positions = pixels_of(operands.y.geometry);
  step->x = operands.x.first;
  step->y = walk_pixels(operands.y);
  if (operands.addend) step->residual = operands.addend->walk;
  step->post = operands.post;
  step->tail = operands.tail;
  step->rows = out_channels;
  step->rows_per_vector = static_cast<int>(ceil_div(out_channels, operands.y.vectors));
  partition(*step, p.emission.workers());
  p.buffers.set_by_channel(y, step->position_chunks < step->unit_chunks);
  p.emission.add(std::move(step), kernel,
                 {operands.x.tensor.ref.buffer, y, operands.addend ? operands.addend->tensor.ref.buffer : y});
  for (int buffer : operands.more_buffers) p.emission.also_uses({buffer, 0});
}

}  // namespace sparsecpu
