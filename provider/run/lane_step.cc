#include "run/lane_step.h"

#include <algorithm>

namespace sparsecpu {

void LaneStep::run(int chunk, const Frame& frame) const noexcept {
  compute(share_of(positions.count(), chunk / unit_chunks, position_chunks),
          share_of(units(), chunk % unit_chunks, unit_chunks), frame);
}

void LaneStep::compute(Share share, Share units, const Frame& frame) const noexcept {
  for (int64_t first = share.begin; first < share.end; first += tile) {
    const Share now{first, std::min(first + tile, share.end)};
    compute_tile(now, units, frame);
    if (post) activate(now, units, frame);
    if (halo) fill_halo(now, units, frame);
  }
}

void LaneStep::activate(Share share, Share units, const Frame& frame) const noexcept {
  const int64_t first = first_row(units.begin) * kLanes, count = first_row(units.end) * kLanes - first;
  for (int64_t p = share.begin; p < share.end; ++p) {
    const PositionRange::At at = positions.at(p);
    float* row = frame.at(y.ref) + y.offset(at.group, at.row, at.column) + first;
    kernels->unary(post->kind, post->a, post->b, row, row, count);
  }
}

void LaneStep::fill_halo(Share share, Share units, const Frame& frame) const noexcept {
  const int64_t in_group = positions.rows * positions.columns;
  for (int64_t first = share.begin; first < share.end;) {
    const int64_t group = first / in_group, end = std::min(share.end, (group + 1) * in_group);
    const uint32_t begin = halo->begin[static_cast<size_t>(first - group * in_group)];
    const uint32_t until = halo->begin[static_cast<size_t>(end - group * in_group)];
    float* tensor = frame.at(halo->tensor) + group * halo->plan.destination_step;
    kernels->permute(halo->plan.copies.data() + begin, until - begin, halo->plan.sources.data(), tensor, tensor,
                     first_vector(units.begin), first_vector(units.end), halo->fill);
    first = end;
  }
}

}  // namespace sparsecpu
