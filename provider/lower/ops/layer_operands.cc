#include "lower/ops/layer_operands.h"

#include <algorithm>

#include "base/cpu.h"
#include "lower/arithmetic.h"
#include "pack/speeds.h"

namespace sparsecpu {

bool has_pixels(const Stage& stage, const Placement& placement) {
  const Shape& shape = placement.shape(stage.op.output);
  return stage.op.layer()->axes == Axes::kImage &&
         elements_of(std::span(shape).subspan(std::min<size_t>(2, shape.size()))) > 1;
}

std::vector<ptrdiff_t> chunk_bases(const std::vector<ChunkOrigin>& origins, const LayerOperands& operands,
                                   int64_t per_vector) {
  std::vector<ptrdiff_t> bases;
  for (const ChunkOrigin& origin : origins) {
    const auto tap = static_cast<size_t>(origin.kernel_row * operands.shape.window.kernel[1] + origin.kernel_column);
    bases.push_back(operands.x.taps[tap] + origin.channel / per_vector * kLanes);
  }
  return bases;
}

std::vector<ptrdiff_t> dense_offsets(const WindowInput& x, int64_t vectors) {
  std::vector<ptrdiff_t> offsets;
  for (ptrdiff_t tap : x.taps) {
    for (int64_t v = 0; v < vectors; ++v) offsets.push_back(tap + v * kLanes);
  }
  return offsets;
}

int64_t position_bytes(const LaneTensor& tensor) {
  return tensor.vectors * kLanes * static_cast<int64_t>(sizeof(float));
}

void set_code(JitStep& step, const PackedJit& code, const LayerOperands& operands) {
  const Window& window = operands.shape.window;
  step.code = &code;
  for (int64_t i = 0; i < window.kernel[0]; ++i) {
    step.row_base.push_back(operands.x.taps[static_cast<size_t>(i * window.kernel[1])]);
  }
  step.tile = static_cast<int>(
      std::clamp<int64_t>(l2_share(kTileShare) / position_bytes(operands.x.tensor), 8, JitStep::kMaxPositions));
  // Workers with positions of their own fetch all code, workers with channels of their own one another's data.
  const int64_t data_bytes =
      (position_bytes(operands.x.tensor) + position_bytes(operands.y)) * pixels_of(operands.y.geometry).count();
  step.least_positions = static_cast<int64_t>(code.code_bytes) <= std::min(data_bytes, kSmallCode)
                             ? kLeastPositions
                             : kLeastPositionsOfLargeCode;
}

}  // namespace sparsecpu
