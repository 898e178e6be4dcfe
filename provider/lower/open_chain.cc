#include "lower/open_chain.h"

#include <algorithm>
#include <utility>

namespace sparsecpu {
namespace {

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

void OpenChain::take(std::unique_ptr<LaneStep> layer) { (first_ ? last_ : first_) = std::move(layer); }

void OpenChain::take(std::unique_ptr<ChannelWindowStep> layer) {
  if (chain_.kind == ChainKind::kPositions) {
    first_ = std::move(layer);
  } else {
    depthwise_ = std::move(layer);
  }
}

LaneTensor OpenChain::tensor_of(int value, const Geometry& geometry, int64_t vectors) {
  if (value == chain_.second) return worker_tensor(geometry, vectors);
  return between_ = scratch_tensor(geometry, vectors);
}

LaneTensor OpenChain::scratch_tensor(const Geometry& geometry, int64_t vectors) {
  const bool by_index = chain_.kind == ChainKind::kPositions;
  LaneTensor t;
  t.geometry = geometry;
  t.vectors = vectors;
  t.position_stride = padded_vectors(by_index ? vectors : std::min(vectors, chain_.vectors)) * kLanes;
  t.by_index = by_index;
  t.ref = {scratch_, floats_};
  position_stride_ = t.position_stride;
  floats_ += t.position_stride * (by_index ? PositionRange::kBlock : geometry.groups() * geometry.positions());
  buffers_.widen_worker(kScratch, floats_);
  return t;
}

// For all positions, of which a worker uses its own.
LaneTensor OpenChain::worker_tensor(const Geometry& geometry, int64_t vectors) {
  LaneTensor t;
  t.geometry = geometry;
  t.vectors = vectors;
  t.position_stride = padded_vectors(vectors) * kLanes;
  t.ref = {buffers_.worker(kBetween), 0};
  buffers_.widen_worker(kBetween, t.floats());
  return t;
}

std::vector<const LaneStep*> OpenChain::layers() const {
  std::vector<const LaneStep*> layers{first_.get()};
  if (depthwise_) layers.push_back(depthwise_.get());
  if (last_) layers.push_back(last_.get());
  return layers;
}

std::string OpenChain::kernel() const {
  std::string name;
  for (const LaneStep* layer : layers()) name += (name.empty() ? "" : " + ") + layer->kernel;
  return name;
}

std::vector<Step::OpShare> OpenChain::other_ops() const {
  std::vector<Step::OpShare> shares;
  double multiplies = 0;
  for (const LaneStep* layer : layers()) {
    shares.push_back({layer->op, static_cast<double>(layer->multiplies())});
    multiplies += shares.back().share;
  }
  for (Step::OpShare& share : shares) share.share /= std::max(1.0, multiplies);
  shares.erase(shares.begin());
  return shares;
}

std::unique_ptr<PositionChain> OpenChain::position_chain(Workers workers) {
  auto step = std::make_unique<PositionChain>();
  step->other_ops = other_ops();
  step->first = std::move(first_);
  step->second = std::move(last_);
  step->scratch = scratch_;
  step->position_stride = position_stride_;
  const int64_t blocks = ceil_div(step->second->positions.count(), PositionRange::kBlock);
  step->chunks = static_cast<int>(workers.even_chunks(std::min<int64_t>(workers.most_chunks(), blocks)));
  return step;
}

std::unique_ptr<ChannelChain> OpenChain::channel_chain(Workers workers) {
  auto step = std::make_unique<ChannelChain>();
  step->other_ops = other_ops();
  step->scratch = scratch_;
  step->units_at_once = chain_.units;
  step->first = std::move(first_);
  step->depthwise = std::move(depthwise_);
  step->last = std::move(last_);
  PermutePlan relayout;
  if (relayout_) {
    step->made = relayout_->x;
    step->read = relayout_->y;
    step->fill = relayout_->fill;
    relayout = std::move(relayout_->plan);
  }
  step->parts.push_back(
      {{{0, step->depthwise->positions.count()}}, {{0, step->first->positions.count()}}, std::move(relayout)});
  if (step->last) {
    divide(step.get(), workers);
  } else {
    const int64_t units = ceil_div(step->first->units(), chain_.units);
    step->unit_chunks = static_cast<int>(workers.even_chunks(std::min<int64_t>(workers.most_chunks(), units)));
  }
  step->chunks = static_cast<int>(step->parts.size()) * step->unit_chunks;
  const TensorRef y = (step->last ? *step->last : *step->depthwise).y.ref;
  buffers_.set_by_channel(y.buffer, !step->last);
  return step;
}

// A part for every worker, with what it needs of the halo, if what lies between the first stages has one.
void OpenChain::divide(ChannelChain* step, Workers workers) const {
  const PositionRange& positions = step->depthwise->positions;
  const int count = static_cast<int>(std::min<int64_t>(workers.count, positions.rows));
  if (count == 1 || !step->first->halo) return;
  const HaloCopies halo = *std::exchange(step->first->halo, std::nullopt);
  step->made = step->read = halo.tensor;
  step->fill = halo.fill;
  step->parts.clear();
  for (int p = 0; p < count; ++p) {
    step->parts.push_back(part_of(rows_of(positions, p, count), *step->depthwise, halo.plan, between_));
  }
}

}  // namespace sparsecpu
