#include "lower/ops/linear.h"

#include "base/cpu.h"
#include "lower/ops/few_rows.h"
#include "lower/parameters.h"
#include "pack/speeds.h"

namespace sparsecpu {
namespace {

// The stage's clamp, if it is not part of the code.
std::optional<Unary> clamp_after(const Stage& stage, const PackedJit& code) {
  if (code.clamp.lo == stage.clamp.lo && code.clamp.hi == stage.clamp.hi) return {};
  if (as_unary(code.clamp)) {
    throw Error("node '" + stage.op.name + "': its code clamps a sum whose shape was to be that of its output");
  }
  return as_unary(stage.clamp);
}

}  // namespace

std::unique_ptr<DepthwiseStep> make_step(const PackedDepthwise& packed, const Stage& stage,
                                         const LayerOperands& operands, Planner& p) {
  const int64_t channels = operands.shape.out_channels;
  auto step = std::make_unique<DepthwiseStep>();
  set_weights(*step, packed, p.emission.kernels().depthwise_tile, channels, 1);
  step->clamp = stage.clamp;
  step->tap_offsets = operands.x.taps;
  step->work_per_position = channels * operands.shape.taps;
  return step;
}

std::unique_ptr<DenseStep> make_step(const PackedDense& packed, const Stage& stage, const LayerOperands& operands,
                                     Planner& p) {
  const LinearShape& shape = operands.shape;
  auto step = std::make_unique<DenseStep>();
  set_weights(*step, packed, p.emission.kernels().dense_tile, packed.view.blocks(), kDenseRows);
  step->clamp = stage.clamp;
  step->offsets = dense_offsets(operands.x, shape.in_channels);
  step->work_per_position = shape.out_channels * shape.taps * shape.in_channels;
  return step;
}

std::unique_ptr<SpmmStep> make_step(const PackedSpmm& packed, const Stage& stage, const LayerOperands& operands,
                                    Planner& p) {
  auto step = std::make_unique<SpmmStep>();
  set_weights(*step, packed, p.emission.kernels().spmm_tile, packed.view.blocks(), kSpmmRows);
  step->clamp = stage.clamp;
  step->chunk_base = chunk_bases(packed.origins, operands, 1);
  step->work_per_position = packed.nonzeros;
  return step;
}

std::unique_ptr<FloatJitStep> make_step(const PackedJit& packed, const Stage& stage, const LayerOperands& operands,
                                        Planner&) {
  auto step = std::make_unique<FloatJitStep>();
  set_code(*step, packed, operands);
  step->part_by_part = step->tile * position_bytes(operands.x.tensor) > l2_share(kTileShare);
  step->post = activation_of(clamp_after(stage, packed));
  return step;
}

void emit_few_rows(const PackedFewRows& packed, const char* kernel, const Stage& stage, Planner& p) {
  const FewRowsWeights& weights = packed.view;
  const FewRowsOperands operands = few_rows_operands(stage, p);
  auto step = std::make_unique<FewRowsStep>();
  step->kernels = &p.emission.kernels();
  step->weights = &weights;
  step->m = operands.m;
  step->x = operands.x;
  step->y = operands.y;
  step->residual = operands.residual;
  step->clamp = stage.clamp;
  step->post = activation_of(stage.post);
  FewRowsStep& s =
      p.emission.add(std::move(step), kernel, {operands.x.buffer, operands.y.buffer, operands.residual_buffer()});
  s.chunks =
      p.emission.workers().chunks_for(ceil_div(weights.rows, kMinChunkRows), kMinChunkRows * weights.k * s.m / 4);
  place_few_rows(stage, operands.y, p);
}

}  // namespace sparsecpu
