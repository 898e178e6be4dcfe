// Steps of Conv, MatMul and Gemm stages.
#include <algorithm>

#include "lower/planner.h"

namespace sparsecpu {
namespace {

// Fewest output channels that are worth a chunk of their own.
constexpr int64_t kMinChunkRows = 16;

}  // namespace

void Planner::emit(const Stage& stage, const Linear& linear, const LayerPack& pack) {
  const int out = stage.op.output;
  const bool fits = stage.residual < 0 || at(stage.residual).shape == at(out).shape;
  if (fits) {
    emit_linear(stage, linear, pack, stage.residual, stage.clamp, stage.post);
    return;
  }
  // A residual that broadcasts: the sum and the activation become steps of their own.
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::optional<Unary> activation = stage.post;
  if (stage.clamp.lo != -kInfinity || stage.clamp.hi != kInfinity) {
    activation = Unary{UnaryKind::kClip, stage.clamp.lo, stage.clamp.hi};
  }
  emit_linear(stage, linear, pack, kNone, {-kInfinity, kInfinity}, {});
  std::optional<Activation> post;
  if (activation) post = Activation{activation->kind, activation->a, activation->b};
  add_in_place(out, stage.residual, post);
}

void Planner::emit_linear(const Stage& stage, const Linear& linear, const LayerPack& pack, int residual, Clamp clamp,
                          const std::optional<Unary>& post) {
  std::optional<Activation> activation;
  if (post) activation = Activation{post->kind, post->a, post->b};
  if (!at(stage.op.output).lanes) {
    emit_few_rows(stage, pack, residual, clamp, activation);
    return;
  }
  emit_lane_linear(stage, linear, pack, residual, clamp, activation);
}

void Planner::emit_few_rows(const Stage& stage, const LayerPack& pack, int residual, Clamp clamp,
                            const std::optional<Activation>& post) {
  const FewRowsWeights& weights = pack.few_rows->view;
  auto step = std::make_unique<FewRowsStep>();
  step->kernels = &kernels_;
  step->weights = &weights;
  step->x = dense_of(stage.op.inputs[0]);
  if (residual >= 0) step->residual = dense_of(residual);
  step->y = new_dense(stage.op.output);
  step->m = 1;
  for (int64_t d : at(stage.op.output).shape) step->m *= d;
  step->m /= weights.rows;
  step->clamp = clamp;
  step->post = post;
  const int x = step->x.buffer, y = step->y.buffer, r = step->residual ? step->residual->buffer : x;
  FewRowsStep& s = add(std::move(step), weights.columns != nullptr ? "few rows, sparse" : "few rows, dense", {x, y, r});
  s.chunks = chunks_for(ceil_div(weights.rows, kMinChunkRows), kMinChunkRows * weights.k * s.m / 4);
}

void Planner::emit_lane_linear(const Stage& stage, const Linear& linear, const LayerPack& pack, int residual,
                               Clamp clamp, const std::optional<Activation>& post) {
  const int out = stage.op.output;
  const WindowInput x = linear_input(stage, linear);
  std::optional<LaneTensor> addend;
  if (residual >= 0) addend = lanes_of(residual, at(out).blocks, at(out).axes);
  const bool overwrites = addend && dies_here(residual) && addend->geometry == home_geometry(out) &&
                          addend->ref.buffer != x.tensor.ref.buffer;
  const LaneTensor y = overwrites ? adopt_lanes(out, *addend) : new_lanes(out);
  std::unique_ptr<LaneLinearStep> step;
  const char* kernel;
  if (pack.depthwise) {
    auto depthwise = std::make_unique<DepthwiseStep>();
    depthwise->weights = &pack.depthwise->view;
    depthwise->tap_offsets = tap_offsets(linear.window, x);
    depthwise->blocks = linear.out_channels;
    depthwise->tile = 4;
    step = std::move(depthwise);
    kernel = "depthwise";
  } else if (pack.spmm) {
    auto spmm = std::make_unique<SpmmStep>();
    spmm->weights = &pack.spmm->view;
    for (const ChunkOrigin& o : pack.spmm->origins) {
      spmm->chunk_base.push_back(o.kernel_row * x.row_step + o.kernel_column * x.column_step + o.channel * kLanes);
    }
    spmm->blocks = pack.spmm->view.blocks();
    spmm->block_rows = kSpmmRows;
    spmm->tile = kernels_.spmm_tile;
    step = std::move(spmm);
    kernel = "spmm";
  } else {
    auto dense = std::make_unique<DenseStep>();
    dense->weights = &pack.dense->view;
    for (ptrdiff_t tap : tap_offsets(linear.window, x)) {
      for (int64_t c = 0; c < linear.in_channels; ++c) dense->offsets.push_back(tap + c * kLanes);
    }
    dense->blocks = pack.dense->view.blocks();
    dense->block_rows = kDenseRows;
    dense->tile = kernels_.dense_tile;
    step = std::move(dense);
    kernel = "dense";
  }
  step->kernels = &kernels_;
  step->positions = pixels_of(y.geometry);
  step->x = x.first;
  step->y = walk_pixels(y);
  if (addend) step->residual = walk_pixels(*addend);
  step->clamp = clamp;
  step->post = post;
  step->rows = linear.out_channels;
  partition(*step, linear, pack);
  add(std::move(step), kernel, {x.tensor.ref.buffer, y.ref.buffer, addend ? addend->ref.buffer : y.ref.buffer});
}

std::vector<ptrdiff_t> Planner::tap_offsets(const Window& window, const WindowInput& x) {
  std::vector<ptrdiff_t> offsets;
  for (int64_t i = 0; i < window.kernel[0]; ++i) {
    for (int64_t j = 0; j < window.kernel[1]; ++j) offsets.push_back(i * x.row_step + j * x.column_step);
  }
  return offsets;
}

WindowInput Planner::linear_input(const Stage& stage, const Linear& linear) {
  const int in = stage.op.inputs[0];
  const Placed& out = at(stage.op.output);
  if (linear.axes == Axes::kImage) {
    const Shape& shape = at(in).shape;
    const WindowExtent extent =
        window_extent(linear.window, shape.size() > 3 ? shape[2] : 1, shape.size() > 2 ? shape.back() : 1);
    return window_of(in, out, linear.window, extent, 0.0f);
  }
  const LaneTensor x =
      linear.transposed_input ? imported(in, out.blocks, Axes::kTokens, 0.0f, true) : lanes_of(in, out.blocks, Axes::kTokens);
  return {x, walk_pixels(x), 0, 0};
}

// Work is cut by positions first (each thread keeps its own pixels in its cache from layer to layer), then by
// output channels where there are too few tiles.
void Planner::partition(LaneLinearStep& step, const Linear& linear, const LayerPack& pack) const {
  const int64_t tiles = ceil_div(step.positions.count(), step.tile);
  const int64_t wanted = 4 * workers_;
  int64_t multiplies = linear.out_channels * linear.weight.taps;
  if (pack.spmm) multiplies = pack.spmm->nonzeros;
  if (pack.dense) multiplies *= linear.in_channels;
  constexpr int64_t kMinMultiplies = 4000;  // vectors: about a microsecond
  const int64_t worth = std::max<int64_t>(1, multiplies * step.positions.count() / kMinMultiplies);
  const int64_t most = std::min(wanted, worth);
  step.position_chunks = static_cast<int>(std::min(tiles, most));
  const int64_t most_by_rows = std::max<int64_t>(1, step.rows / std::max(kMinChunkRows, step.block_rows));
  step.block_chunks = static_cast<int>(std::clamp<int64_t>(most / step.position_chunks, 1, most_by_rows));
  step.chunks = step.position_chunks * step.block_chunks;
}

}  // namespace sparsecpu
