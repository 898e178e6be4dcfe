#include "lower/ops/linear.h"

#include "lower/ops/few_rows.h"
#include "lower/ops/layer.h"
#include "lower/parameters.h"

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

void emit_jit(const Linear& linear, const PackedJit& code, const LayerOperands& operands, Planner& p) {
  auto step = std::make_unique<FloatJitStep>();
  set_code(*step, linear.window, code, operands);
  step->part_by_part = step->tile * position_bytes(operands.x.tensor) > kTileBytes;
  add_layer(std::move(step), "jit spmm", linear.out_channels, operands, p);
}

void emit_stream(const Stage& stage, const Linear& linear, const LayerPack& pack, const LayerOperands& operands,
                 Planner& p) {
  const WindowInput& x = operands.x;
  const KernelTable& kernels = p.emission.kernels();
  const auto finish = [&](auto step, const char* kernel, const auto& packed, int tile, int64_t blocks,
                          int64_t block_rows) {
    step->weights = &packed.view;
    step->clamp = stage.clamp;
    step->tile = tile;
    step->blocks = blocks;
    step->block_rows = block_rows;
    add_layer(std::move(step), kernel, linear.out_channels, operands, p);
  };
  if (pack.depthwise) {
    auto step = std::make_unique<DepthwiseStep>();
    step->tap_offsets = x.taps;
    step->work_per_position = linear.out_channels * linear.weight.taps;
    finish(std::move(step), "depthwise", *pack.depthwise, kernels.depthwise_tile, linear.out_channels, 1);
  } else if (pack.spmm) {
    auto step = std::make_unique<SpmmStep>();
    step->chunk_base = chunk_bases(pack.spmm->origins, linear.window, x, 1);
    step->work_per_position = pack.spmm->nonzeros;
    finish(std::move(step), "spmm", *pack.spmm, kernels.spmm_tile, pack.spmm->view.blocks(), kSpmmRows);
  } else {
    auto step = std::make_unique<DenseStep>();
    step->offsets = dense_offsets(x, linear.in_channels);
    step->work_per_position = linear.out_channels * linear.weight.taps * linear.in_channels;
    finish(std::move(step), "dense", *pack.dense, kernels.dense_tile, pack.dense->view.blocks(), kDenseRows);
  }
}

void emit_few_rows(const Stage& stage, const FewRowsWeights& weights, Planner& p) {
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
  const int r = operands.residual.value_or(operands.x).buffer;
  FewRowsStep& s = p.emission.add(std::move(step), weights.columns != nullptr ? "few rows, sparse" : "few rows, dense",
                                  {operands.x.buffer, operands.y.buffer, r});
  s.chunks =
      p.emission.workers().chunks_for(ceil_div(weights.rows, kMinChunkRows), kMinChunkRows * weights.k * s.m / 4);
  place_few_rows(stage, operands.y, p);
}

}  // namespace

void form(const Linear&, const Stage& stage, Placement& placement) { form_of_layer(stage, fill_of(0.0f), placement); }

void emit(const Linear& linear, const Stage& stage, Planner& p) {
  const LayerPack& pack = *stage.pack;
  if (runs_row_major(stage, p.placement)) return emit_few_rows(stage, pack.few_rows->view, p);
  LayerOperands operands{layer_input(stage, fill_of(0.0f), p), {}, {}, activation_of(stage.post), {}, {}};
  place_output(stage, &operands, p);
  if (pack.streams(pixels_of(operands.y.geometry).count())) {
    emit_stream(stage, linear, pack, operands, p);
  } else {
    if (const auto limits = clamp_after(stage, *pack.jit)) operands.post = activation_of(*limits);
    emit_jit(linear, *pack.jit, operands, p);
  }
}

}  // namespace sparsecpu
