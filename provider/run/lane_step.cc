#include "run/lane_step.h"

#include <algorithm>

namespace sparsecpu {

void LaneStep::run(int chunk, const Frame& frame) const noexcept {
  compute(share_of(positions.count(), chunk / unit_chunks, position_chunks), units_of(chunk), frame);
}

Share LaneStep::vectors_of(Share units) const {
  const auto first = [&](int64_t unit) { return (first_row(unit) + rows_per_vector - 1) / rows_per_vector; };
  return {first(units.begin), first(units.end)};
}

void LaneStep::compute(Share share, Share units, const Frame& frame) const noexcept {
  for (int64_t first = share.begin, end; first < share.end; first = end) {
    end = tile_end(first, share.end);
    const Share now{first, end};
    compute_tile(now, units, frame);
    if (post) activate(now, units, frame);
    if (tail) run_tail(now, units, frame);
    if (halo) fill_halo(now, units, frame);
  }
}

// A tile of a block's size does not cross blocks.
int64_t LaneStep::tile_end(int64_t first, int64_t end) const {
  end = std::min(first + tile, end);
  return tile == PositionRange::kBlock ? std::min(end, positions.block_end(positions.at(first))) : end;
}

void LaneStep::activate(Share share, Share units, const Frame& frame) const noexcept {
  const int64_t first = first_row(units.begin) * kLanes, count = first_row(units.end) * kLanes - first;
  for (int64_t p = share.begin; p < share.end; ++p) {
    const PositionRange::At at = positions.at(p);
    float* row = frame.at(y.ref) + y.offset(at) + first;
    kernels->unary(post->kind, post->a, post->b, row, row, count);
  }
}

void LaneStep::run_tail(Share share, Share units, const Frame& frame) const noexcept {
  FloatStretch stretch = tail->stretch;
  if (!tail->scale.empty()) {
    stretch.scale = tail->scale.data();
    stretch.shift = tail->shift.data();
  }
  for (int64_t p = share.begin; p < share.end; ++p) {
    const PositionRange::At at = positions.at(p);
    const float* addend = tail->residual ? frame.at(tail->residual->ref) + tail->residual->offset(at) : nullptr;
    kernels->quantized->float_stretch(stretch, frame.at(y.ref) + y.offset(at), addend,
                                      frame.at(tail->y.ref) + tail->y.offset(at), first_row(units.begin),
                                      first_row(units.end));
  }
}

void LaneStep::fill_halo(Share share, Share units, const Frame& frame) const noexcept {
  const Share vectors = vectors_of(units);
  const int64_t in_group = positions.in_group();
  for (int64_t first = share.begin; first < share.end;) {
    const int64_t group = first / in_group, end = std::min(share.end, (group + 1) * in_group);
    const uint32_t begin = halo->begin[static_cast<size_t>(first - group * in_group)];
    const uint32_t until = halo->begin[static_cast<size_t>(end - group * in_group)];
    float* tensor = frame.at(halo->tensor) + group * halo->plan.destination_step;
    kernels->permute(halo->plan.copies.data() + begin, until - begin, halo->plan.sources.data(), tensor, tensor,
                     vectors.begin, vectors.end, halo->fill);
    first = end;
  }
}

}  // namespace sparsecpu
