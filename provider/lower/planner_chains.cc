// Which stages become one step (run/chain_steps.h), and its emission.
#include <algorithm>
#include <utility>

#include "lower/planner.h"
#include "run/chain_steps.h"
#include "run/layout_steps.h"

namespace sparsecpu {
namespace {

// Positions below which threads that share them would fetch generated code for too few.
constexpr int64_t kMinPositionsPerWorker = 24;
// The channels that are worked on at once stay in half of the L2 cache; if possible, in a quarter of this.
constexpr int64_t kMaxUnitBytes = 512 * 1024;
constexpr int64_t kGoodUnitBytes = 128 * 1024;
// Rows of the first stage that all parts compute together, in percent of those there are.
constexpr int64_t kMaxPartRows = 160;

int64_t position_count(const Geometry& g) { return g.groups() * g.step_h * g.step_w; }

// Most vectors in a block of generated code. Bytes: four channels each.
int64_t unit_vectors(const LayerPack& pack) { return pack.qjit ? kJitRows / 4 : kJitRows; }

bool is_pointwise_lanes(const Stage& stage, const LayerPack& pack) {
  return pack.has_lane_form() && !pack.is_depthwise() && is_pointwise(*linear_shape(stage.op.data));
}

template <class S>
std::unique_ptr<S> taken(std::unique_ptr<Step>& step) {
  S& same = dynamic_cast<S&>(*step);  // where it throws, the step keeps its owner
  static_cast<void>(step.release());
  return std::unique_ptr<S>(&same);
}

// Positions [begin, end) of every run of true.
std::vector<Share> runs_of(const std::vector<bool>& marked) {
  std::vector<Share> runs;
  for (size_t i = 0; i < marked.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    if (!marked[i]) continue;
    if (runs.empty() || runs.back().end != at) runs.push_back({at, at});
    runs.back().end = at + 1;
  }
  return runs;
}

// Whole rows of the only batch group: share `part` of `parts`.
std::vector<Share> rows_of(const PositionRange& positions, int part, int parts) {
  const Share rows = share_of(positions.rows, part, parts);
  std::vector<bool> marked(static_cast<size_t>(positions.count()));
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    for (int64_t column = 0; column < positions.columns; ++column) {
      marked[static_cast<size_t>(positions.index(0, row, column))] = true;
    }
  }
  return runs_of(marked);
}

// What these positions of `step`, which reads `between` (of one batch group), need: positions of that, and of its halo.
ChainPart part_of(std::vector<Share> positions, const ChannelWindowStep& step, const PermutePlan& halo,
                  const LaneTensor& between) {
  const Geometry& g = between.geometry;
  const PositionRange pixels = pixels_of(g);
  const auto place_of = [&](int64_t offset) { return offset / between.position_stride; };
  std::vector<bool> is_read(static_cast<size_t>(g.positions())), is_needed(static_cast<size_t>(pixels.count()));
  const auto need = [&](int64_t place) {
    const int64_t row = place / g.grid_w, column = place % g.grid_w;
    if (!is_canonical(g, row, column)) return;
    is_needed[static_cast<size_t>(pixels.index(0, row + g.origin_h, column + g.origin_w))] = true;
  };
  for (const Share& share : positions) {
    for (int64_t p = share.begin; p < share.end; ++p) {
      const int64_t window = step.x.ref.offset + step.x.offset(step.positions.at(p)) - between.ref.offset;
      for (ptrdiff_t tap : step.tap_offsets) {
        is_read[static_cast<size_t>(place_of(window + tap))] = true;
        need(place_of(window + tap));
      }
    }
  }
  ChainPart part;
  for (LaneCopy copy : halo.copies) {
    if (!is_read[static_cast<size_t>(place_of(copy.destination))]) continue;
    const auto first = halo.sources.begin() + copy.first_source, end = first + copy.sources;
    copy.first_source = static_cast<uint32_t>(part.permute.sources.size());
    part.permute.copies.push_back(copy);
    part.permute.sources.insert(part.permute.sources.end(), first, end);
    std::for_each(first, end, [&](const LaneSource& source) { need(place_of(source.offset)); });
  }
  part.positions = std::move(positions);
  part.first = runs_of(is_needed);
  return part;
}

}  // namespace

bool Planner::gathers_taps(const Stage& layer) const {
  const std::optional<LinearShape> linear = linear_shape(layer.op.data);
  if (!linear || linear->axes != Axes::kImage) return false;
  const Shape& in = at(layer.op.inputs[0]).shape;
  const WindowExtent extent = window_extent(linear->window, image_size(in));
  return window_layout(in, at(layer.op.output).blocks, linear->window, extent).gathers();
}

// Nothing but the next stage reads the value, as the lane-blocked image that its window passes over.
bool Planner::feeds_only_next(size_t stage) const {
  if (stage + 1 >= part_.end) return false;
  const Stage& next = stages_[stage + 1];
  const int value = stages_[stage].op.output;
  const Placed &v = at(value), &out = at(next.op.output);
  const bool images = v.lanes && v.axes == Axes::kImage && out.lanes && out.axes == Axes::kImage;
  if (!images || v.last_use != static_cast<int>(stage) + 1 || v.region_output != kNone) return false;
  if (next.op.inputs[0] != value || gathers_taps(next)) return false;
  if (next.residual < 0) return true;
  const Placed& residual = at(next.residual);  // one that is there without another step
  return next.residual != value && residual.lanes && residual.shape == out.shape &&
         same_blocks(residual.blocks, out.blocks);
}

Planner::ChainKind Planner::chain_of(size_t stage) const {
  if (!feeds_only_next(stage)) return ChainKind::kNone;
  const LayerPack &pack = *packs_[stage], &next = *packs_[stage + 1];
  if (pack.code() != nullptr && next.is_depthwise()) return chain_of_channels(stage);
  const Placed& v = at(stages_[stage].op.output);
  if (!pack.is_depthwise() || v.halo || !is_pointwise_lanes(stages_[stage + 1], next)) return ChainKind::kNone;
  const bool many = position_count(v.blocks) >= kMinPositionsPerWorker * workers_;
  return many ? ChainKind::kPositions : ChainKind::kNone;
}

// Generated code, then a depthwise layer.
Planner::ChainKind Planner::chain_of_channels(size_t stage) const {
  const int64_t bytes = unit_bytes(stage), rows = part_rows(stage), all = at(stages_[stage].op.output).blocks.step_h;
  const bool goes_on = feeds_only_next(stage + 1) && is_pointwise_lanes(stages_[stage + 2], *packs_[stage + 2]);
  if (goes_on && rows * workers_ * 100 <= all * kMaxPartRows && rows * bytes <= all * kMaxUnitBytes) {
    return ChainKind::kParts;
  }
  return bytes <= kMaxUnitBytes ? ChainKind::kChannels : ChainKind::kNone;
}

// Of a block of the stage's output channels, at all positions that a depthwise layer reads.
int64_t Planner::unit_bytes(size_t stage) const {
  const Placed& v = at(stages_[stage].op.output);
  const Geometry grid = v.halo ? with_extent(v.blocks, *v.halo) : v.blocks;
  return grid.groups() * grid.positions() * unit_vectors(*packs_[stage]) * kLanes * 4;
}

// Rows of positions of the stage's output that a worker needs for its share of the rows of the next, depthwise one; no
// fewer than all where the layout is another.
int64_t Planner::part_rows(size_t stage) const {
  const Placed &v = at(stages_[stage].op.output), &out = at(stages_[stage + 1].op.output);
  const Window window = linear_shape(stages_[stage + 1].op.data)->window;
  if (!v.halo || v.blocks.groups() > 1) return v.blocks.step_h;
  const int64_t own = ceil_div(out.blocks.step_h, workers_);
  return (own - 1) * window.stride[0] + (window.kernel[0] - 1) * window.dilation[0] + 1;
}

LaneTensor Planner::scratch_tensor(const Geometry& geometry, int64_t vectors) {
  const bool by_index = chain_->kind == ChainKind::kPositions;
  LaneTensor t;
  t.geometry = geometry;
  t.vectors = vectors;
  t.position_stride = padded_vectors(by_index ? vectors : std::min(vectors, chain_->vectors)) * kLanes;
  t.by_index = by_index;
  t.ref = {chain_->scratch, chain_->floats};
  chain_->position_stride = t.position_stride;
  chain_->floats += t.position_stride * (by_index ? PositionRange::kBlock : geometry.groups() * geometry.positions());
  return t;
}

Planner::WorkerBuffer& Planner::worker_buffer(int index) {
  WorkerBuffer& own = worker_buffers_[index];
  if (own.buffer == kNone) own.buffer = fixed_buffer(BufferPlace::Kind::kWorker, 0);
  return own;
}

// For all positions, of which a worker uses its own.
LaneTensor Planner::worker_tensor(const Geometry& geometry, int64_t vectors) {
  WorkerBuffer& own = worker_buffer(1);
  LaneTensor t;
  t.geometry = geometry;
  t.vectors = vectors;
  t.position_stride = padded_vectors(vectors) * kLanes;
  t.ref = {own.buffer, 0};
  own.floats = std::max(own.floats, t.floats());
  return t;
}

// Emits the stages from `stage` on that become one step; their number.
size_t Planner::emit_chain(ChainKind kind, size_t stage) {
  const size_t length = kind == ChainKind::kParts ? 3 : 2;
  WorkerBuffer& scratch = worker_buffer(0);
  chain_ =
      OpenChain{kind, stages_[stage].op.output, length == 3 ? stages_[stage + 1].op.output : kNone, scratch.buffer};
  if (kind != ChainKind::kPositions) choose_units(stage);
  emit_stage(stage);
  const size_t first_step = program_->steps.size() - 1;
  for (size_t next = stage + 1; next < stage + length; ++next) {
    stage_ = static_cast<int>(next);
    emit_stage(next);
  }
  std::vector<std::unique_ptr<Step>> steps = take_steps(first_step);
  const OpenChain chain = *std::exchange(chain_, std::nullopt);
  scratch.floats = std::max(scratch.floats, chain.floats);
  std::string name;
  std::vector<Step::OpShare> shares;
  double multiplies = 0;
  for (const auto& step : steps) {
    const auto* layer = dynamic_cast<const LaneStep*>(step.get());
    if (layer == nullptr) continue;
    name += (name.empty() ? "" : " + ") + step->kernel;
    shares.push_back({step->op, static_cast<double>(layer->multiplies())});
    multiplies += shares.back().share;
  }
  for (Step::OpShare& share : shares) share.share /= std::max(1.0, multiplies);
  shares.erase(shares.begin());
  std::unique_ptr<Step> step =
      kind == ChainKind::kPositions ? position_chain(std::move(steps), chain) : channel_chain(std::move(steps), chain);
  step->other_ops = std::move(shares);
  stage_ = static_cast<int>(stage);
  add(std::move(step), name.c_str(), {});
  return length;
}

std::unique_ptr<Step> Planner::position_chain(std::vector<std::unique_ptr<Step>> steps, const OpenChain& chain) {
  auto step = std::make_unique<PositionChain>();
  step->first = taken<LaneStep>(steps.front());
  step->second = taken<LaneStep>(steps.back());
  step->scratch = chain.scratch;
  step->position_stride = chain.position_stride;
  const int64_t blocks = ceil_div(step->second->positions.count(), PositionRange::kBlock);
  step->chunks = static_cast<int>(even_chunks(std::min<int64_t>(most_chunks(), blocks)));
  return step;
}

// As many blocks of generated code at once as suit the cache.
void Planner::choose_units(size_t stage) {
  const int64_t vectors = unit_vectors(*packs_[stage]);
  chain_->units = std::clamp<int64_t>(kGoodUnitBytes / unit_bytes(stage), 1, kJitRows / vectors);
  chain_->vectors = chain_->units * vectors;
}

std::unique_ptr<Step> Planner::channel_chain(std::vector<std::unique_ptr<Step>> steps, const OpenChain& chain) {
  auto step = std::make_unique<ChannelChain>();
  step->scratch = chain.scratch;
  step->units_at_once = chain.units;
  step->first = taken<LaneStep>(steps[0]);
  size_t next = 1;
  PermutePlan relayout;
  if (const auto* permute = dynamic_cast<PermuteStep*>(steps[next].get())) {
    relayout = permute->plan;
    step->made = permute->x;
    step->read = permute->y;
    step->fill = permute->fill;
    ++next;
  }
  step->depthwise = taken<ChannelWindowStep>(steps[next++]);
  if (next < steps.size()) step->last = taken<LaneStep>(steps[next]);
  step->parts.push_back(
      {{{0, step->depthwise->positions.count()}}, {{0, step->first->positions.count()}}, std::move(relayout)});
  if (step->last) {
    divide(step.get(), at(chain.value).versions.front().tensor);
  } else {
    const int64_t units = ceil_div(step->first->units(), chain.units);
    step->unit_chunks = static_cast<int>(even_chunks(std::min<int64_t>(most_chunks(), units)));
  }
  step->chunks = static_cast<int>(step->parts.size()) * step->unit_chunks;
  const TensorRef y = (step->last ? *step->last : *step->depthwise).y.ref;
  buffers_[static_cast<size_t>(y.buffer)].by_channel = !step->last;
  return step;
}

// A part for every worker, with what it needs of the halo, if the first stage's output `between` has one.
void Planner::divide(ChannelChain* step, const LaneTensor& between) const {
  const PositionRange& positions = step->depthwise->positions;
  const int count = static_cast<int>(std::min<int64_t>(workers_, positions.rows));
  if (count == 1 || !step->first->halo) return;
  const HaloCopies halo = *std::exchange(step->first->halo, std::nullopt);
  step->made = step->read = halo.tensor;
  step->fill = halo.fill;
  step->parts.clear();
  for (int p = 0; p < count; ++p) {
    step->parts.push_back(part_of(rows_of(positions, p, count), *step->depthwise, halo.plan, between));
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
