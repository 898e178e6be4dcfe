// Steps of Conv, MatMul and Gemm stages.
#include <algorithm>

#include "lower/planner.h"
#include "run/pointwise_steps.h"

namespace sparsecpu {
namespace {

// The inputs of a tile share half of the L2 cache with the code.
constexpr int64_t kTileBytes = 384 * 1024;

// The stage's clamp, if it is not part of the code.
std::optional<Unary> clamp_after(const Stage& stage, const PackedJit& code) {
  if (code.clamp.lo == stage.clamp.lo && code.clamp.hi == stage.clamp.hi) return {};
  if (as_unary(code.clamp)) {
    throw Error("node '" + stage.op.name + "': its code clamps a sum whose shape was to be that of its output");
  }
  return as_unary(stage.clamp);
}

int64_t position_bytes(const LaneTensor& tensor) {
  return tensor.vectors * kLanes * static_cast<int64_t>(sizeof(float));
}

}  // namespace

void Planner::emit(const Stage& stage, const Linear& linear, const LayerPack& pack) {
  const std::optional<Activation> post = activation_of(stage.post);
  if (runs_row_major(index_of(stage))) {
    emit_few_rows(stage, pack, post);
  } else {
    emit_lane_linear(stage, linear, pack, post);
  }
}

void Planner::emit_lane_linear(const Stage& stage, const Linear& linear, const LayerPack& pack,
                               const std::optional<Activation>& post) {
  LinearOperands operands{linear_input(stage, *linear_shape(stage.op.data), fill_of(0.0f)), {}, {}, post, {}, {}};
  place_output(stage, &operands);
  if (pack.streams(pixels_of(operands.y.geometry).count())) {
    emit_stream(stage, linear, pack, operands);
  } else {
    if (const auto limits = clamp_after(stage, *pack.jit)) operands.post = activation_of(*limits);
    emit_jit(linear, *pack.jit, operands);
  }
}

// The layer's addend and its output, which takes the addend's memory where nothing else reads that. In a chain, the
// first stage still reads it for positions of other workers.
void Planner::place_output(const Stage& stage, LinearOperands* operands) {
  const int out = stage.op.output;
  if (stage.sum && stage.sum->constant) operands->addend = constant_operand(*stage.sum->constant, out);
  if (stage.residual >= 0) operands->addend = operand_of(stage.residual, out);
  const bool overwrites = !chain_ && stage.residual >= 0 && dies_here(stage.residual) &&
                          operands->addend->tensor.geometry == home_geometry(out) &&
                          operands->addend->tensor.ref.buffer != operands->x.tensor.ref.buffer;
  operands->y = overwrites ? adopt_lanes(out, operands->addend->tensor) : new_lanes(out);
}

void Planner::emit_jit(const Linear& linear, const PackedJit& code, const LinearOperands& operands) {
  auto step = std::make_unique<FloatJitStep>();
  set_code(*step, linear.window, code, operands);
  step->part_by_part = step->tile * position_bytes(operands.x.tensor) > kTileBytes;
  add_linear_step(std::move(step), "jit spmm", *linear_shape(linear), operands);
}

void Planner::set_code(JitStep& step, const Window& window, const PackedJit& code, const LinearOperands& operands) {
  step.code = &code;
  for (int64_t i = 0; i < window.kernel[0]; ++i) {
    step.row_base.push_back(operands.x.taps[static_cast<size_t>(i * window.kernel[1])]);
  }
  step.tile =
      static_cast<int>(std::clamp<int64_t>(kTileBytes / position_bytes(operands.x.tensor), 8, JitStep::kMaxPositions));
  // Workers with positions of their own fetch all code, workers with channels of their own one another's data.
  const int64_t data_bytes =
      (position_bytes(operands.x.tensor) + position_bytes(operands.y)) * pixels_of(operands.y.geometry).count();
  step.least_positions = static_cast<int64_t>(code.code_bytes) <= std::min(data_bytes, kSmallCode)
                             ? kLeastPositions
                             : kLeastPositionsOfLargeCode;
}

void Planner::emit_stream(const Stage& stage, const Linear& linear, const LayerPack& pack,
                          const LinearOperands& operands) {
  const WindowInput& x = operands.x;
  const auto finish = [&](auto step, const char* kernel, const auto& packed, int tile, int64_t blocks,
                          int64_t block_rows) {
    step->weights = &packed.view;
    step->clamp = stage.clamp;
    step->tile = tile;
    step->blocks = blocks;
    step->block_rows = block_rows;
    add_linear_step(std::move(step), kernel, *linear_shape(linear), operands);
  };
  if (pack.depthwise) {
    auto step = std::make_unique<DepthwiseStep>();
    step->tap_offsets = x.taps;
    step->work_per_position = linear.out_channels * linear.weight.taps;
    finish(std::move(step), "depthwise", *pack.depthwise, kernels_.depthwise_tile, linear.out_channels, 1);
  } else if (pack.spmm) {
    auto step = std::make_unique<SpmmStep>();
    for (const ChunkOrigin& o : pack.spmm->origins) {
      step->chunk_base.push_back(tap_of(linear.window, x, o) + o.channel * kLanes);
    }
    step->work_per_position = pack.spmm->nonzeros;
    finish(std::move(step), "spmm", *pack.spmm, kernels_.spmm_tile, pack.spmm->view.blocks(), kSpmmRows);
  } else {
    auto step = std::make_unique<DenseStep>();
    for (ptrdiff_t tap : x.taps) {
      for (int64_t c = 0; c < linear.in_channels; ++c) step->offsets.push_back(tap + c * kLanes);
    }
    step->work_per_position = linear.out_channels * linear.weight.taps * linear.in_channels;
    finish(std::move(step), "dense", *pack.dense, kernels_.dense_tile, pack.dense->view.blocks(), kDenseRows);
  }
}

ptrdiff_t Planner::tap_of(const Window& window, const WindowInput& x, const ChunkOrigin& origin) {
  return x.taps[static_cast<size_t>(origin.kernel_row * window.kernel[1] + origin.kernel_column)];
}

WindowInput Planner::linear_input(const Stage& stage, const LinearShape& linear, FillBits fill) {
  const int in = stage.op.inputs[0];
  const Placed& out = at(stage.op.output);
  if (linear.axes == Axes::kImage) {
    const WindowExtent extent = window_extent(linear.window, image_size(at(in).shape));
    return window_of(in, out, linear.window, extent, fill);
  }
  const LaneTensor x = linear.transposed_input ? imported(in, out.blocks, Axes::kTokens, 0, true)
                                               : lanes_of(in, out.blocks, Axes::kTokens);
  return {x, walk_pixels(x)};
}

// Work is cut by positions first (each thread keeps its own pixels in its cache from layer to layer), then by
// output channels where there are too few tiles.
void Planner::partition(LaneLinearStep& step) const {
  const int64_t tiles = ceil_div(step.positions.count(), step.tile);
  constexpr int64_t kMinMultiplies = 4000;  // vectors: about a microsecond
  const int64_t worth = std::max<int64_t>(1, step.work_per_position * step.positions.count() / kMinMultiplies);
  const int64_t most = std::min<int64_t>(most_chunks(), worth);
  step.position_chunks = static_cast<int>(std::min(tiles, most));
  const int64_t most_by_rows = std::max<int64_t>(1, step.rows / std::max(kMinChunkRows, step.block_rows));
  step.unit_chunks = static_cast<int>(std::clamp<int64_t>(most / step.position_chunks, 1, most_by_rows));
  step.chunks = step.position_chunks * step.unit_chunks;
}

void Planner::partition(JitStep& step) const {
  constexpr int kMinMultiplies = 8000;
  constexpr int kFinish = 6;  // a row's end, in multiply-adds
  const int64_t multiplies = (step.code->nonzeros + kFinish * step.rows) * step.positions.count();
  const int64_t most = even_chunks(std::clamp<int64_t>(multiplies / kMinMultiplies, 1, most_chunks()));
  step.position_chunks =
      static_cast<int>(even_chunks(std::clamp<int64_t>(step.positions.count() / step.least_positions, 1, most)));
  step.unit_chunks =
      static_cast<int>(std::clamp<int64_t>(ceil_div(most, step.position_chunks), 1, step.code->blocks()));
  step.chunks = step.position_chunks * step.unit_chunks;
}

}  // namespace sparsecpu
