// Which two stages become one step (run/chain_steps.h), and its emission.
#include <algorithm>
#include <utility>

#include "lower/planner.h"
#include "run/chain_steps.h"

namespace sparsecpu {
namespace {

// Positions below which threads that share them would fetch generated code for too few.
constexpr int64_t kMinPositionsPerWorker = 24;
// A unit of channels stays in half of the L2 cache.
constexpr int64_t kMaxUnitBytes = 512 * 1024;

int64_t position_count(const Geometry& g) { return g.groups() * g.step_h * g.step_w; }

}  // namespace

// Nothing but the next stage reads the value, as the lane-blocked image that its window passes over.
bool Planner::feeds_only_next(size_t stage) const {
  if (stage + 1 >= part_.end) return false;
  const Stage& next = stages_[stage + 1];
  const int value = stages_[stage].op.output;
  const Placed &v = at(value), &out = at(next.op.output);
  const bool images = v.lanes && v.axes == Axes::kImage && out.lanes && out.axes == Axes::kImage;
  if (!images || v.last_use != static_cast<int>(stage) + 1 || v.region_output != kNone) return false;
  if (next.op.inputs[0] != value) return false;
  if (next.residual < 0) return true;
  const Placed& residual = at(next.residual);  // one that is there without another step
  return next.residual != value && residual.lanes && residual.shape == out.shape &&
         same_blocks(residual.blocks, out.blocks);
}

Planner::ChainKind Planner::chain_of(size_t stage) const {
  if (!feeds_only_next(stage)) return ChainKind::kNone;
  const LayerPack &pack = packs_[stage], &next = packs_[stage + 1];
  const Placed& v = at(stages_[stage].op.output);
  if (pack.depthwise && !v.halo && (next.jit || next.spmm || next.dense) &&
      is_pointwise(*linear_shape(stages_[stage + 1].op.data))) {
    const bool many = position_count(v.blocks) >= kMinPositionsPerWorker * workers_;
    return many ? ChainKind::kPositions : ChainKind::kNone;
  }
  if (pack.jit && next.depthwise) {
    const Geometry grid = v.halo ? with_extent(v.blocks, *v.halo) : v.blocks;
    const int64_t bytes = grid.groups() * grid.positions() * kJitRows * kLanes * static_cast<int64_t>(sizeof(float));
    return bytes <= kMaxUnitBytes ? ChainKind::kChannels : ChainKind::kNone;
  }
  return ChainKind::kNone;
}

LaneTensor Planner::scratch_tensor(const Geometry& geometry, int64_t vectors) {
  const bool by_channel = chain_->kind == ChainKind::kChannels;
  LaneTensor t;
  t.geometry = geometry;
  t.vectors = vectors;
  t.position_stride = padded_vectors(by_channel ? chain_->unit : vectors) * kLanes;
  t.by_index = !by_channel;
  t.ref = {*program_->worker_buffer, chain_->floats};
  chain_->position_stride = t.position_stride;
  chain_->floats += t.position_stride * (by_channel ? geometry.groups() * geometry.positions() : PositionRange::kBlock);
  return t;
}

void Planner::emit_chain(ChainKind kind, size_t stage) {
  if (!program_->worker_buffer) program_->worker_buffer = fixed_buffer(BufferPlace::Kind::kWorker, 0);
  const int scratch = *program_->worker_buffer;
  const std::optional<PackedJit>& code = packs_[stage].jit;
  const int64_t unit = code ? ceil_div(linear_shape(stages_[stage].op.data)->out_channels, code->blocks()) : 0;
  chain_ = OpenChain{kind, stages_[stage].op.output, unit, 0, 0};
  emit_stage(stage);
  const size_t first_step = program_->steps.size() - 1;
  stage_ = static_cast<int>(stage) + 1;
  emit_stage(stage + 1);
  std::vector<std::unique_ptr<Step>> steps = take_steps(first_step);
  const OpenChain chain = *std::exchange(chain_, std::nullopt);
  program_->worker_floats = std::max(program_->worker_floats, chain.floats);
  const auto as = [&]<class S>(std::unique_ptr<Step>& step) {
    return std::unique_ptr<S>(&dynamic_cast<S&>(*step.release()));
  };
  const std::string name = steps.front()->kernel + " + " + steps.back()->kernel;
  const int second_op = steps.back()->op;
  const auto first_multiplies = static_cast<double>(dynamic_cast<LaneStep&>(*steps.front()).multiplies());
  const auto second_multiplies = static_cast<double>(dynamic_cast<LaneStep&>(*steps.back()).multiplies());
  const auto add_chain = [&](auto step) {
    step->second_op = second_op;
    step->second_share = second_multiplies / std::max(1.0, first_multiplies + second_multiplies);
    step->scratch = scratch;
    stage_ = static_cast<int>(stage);
    add(std::move(step), name.c_str(), {});
  };
  if (kind == ChainKind::kPositions) {
    auto step = std::make_unique<PositionChain>();
    step->first = as.operator()<LaneStep>(steps.front());
    step->second = as.operator()<LaneStep>(steps.back());
    step->position_stride = chain.position_stride;
    const int64_t blocks = ceil_div(step->second->positions.count(), PositionRange::kBlock);
    step->chunks = static_cast<int>(even_chunks(std::min<int64_t>(most_chunks(), blocks)));
    add_chain(std::move(step));
  } else {
    auto step = std::make_unique<ChannelChain>();
    step->first = as.operator()<LaneStep>(steps.front());
    for (size_t i = 1; i < steps.size(); ++i) step->then.push_back(as.operator()<ChannelwiseStep>(steps[i]));
    step->chunks = static_cast<int>(even_chunks(std::min<int64_t>(most_chunks(), step->first->units())));
    add_chain(std::move(step));
  }
}

// Steps that become parts of one: the buffers they use are all alive in it.
std::vector<std::unique_ptr<Step>> Planner::take_steps(size_t first) {
  std::vector<std::unique_ptr<Step>> taken;
  for (size_t s = first; s < program_->steps.size(); ++s) taken.push_back(std::move(program_->steps[s]));
  program_->steps.resize(first);
  const int step = static_cast<int>(first);
  for (Buffer& buffer : buffers_) {
    buffer.first_step = std::min(buffer.first_step, step);
    buffer.last_step = std::min(buffer.last_step, step);
  }
  return taken;
}

}  // namespace sparsecpu
