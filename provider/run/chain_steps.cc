#include "run/chain_steps.h"

#include <algorithm>

namespace sparsecpu {

void PositionChain::run(int chunk, const Frame& frame) const noexcept {
  const PositionRange& positions = second->positions;
  const Share share = positions.whole_blocks(share_of(positions.count(), chunk, chunks));
  const Share inner{0, first->units()}, outer{0, second->units()};
  for (int64_t begin = share.begin, end; begin < share.end; begin = end) {
    end = positions.block_end(positions.at(begin));
    const Share now{begin, end};
    const Frame local = frame.with(scratch, frame.at({scratch, 0}) - begin * position_stride);
    first->compute(now, inner, local);
    second->compute(now, outer, local);
  }
}

void ChannelChain::permute(const PermutePlan& plan, Share vectors, const Frame& frame) const noexcept {
  for (int64_t r = 0; r < plan.repeats; ++r) {
    first->kernels->permute(plan.copies.data(), static_cast<int64_t>(plan.copies.size()), plan.sources.data(),
                            frame.at(made) + r * plan.source_step, frame.at(read) + r * plan.destination_step,
                            vectors.begin, vectors.end, fill);
  }
}

void ChannelChain::run(int chunk, const Frame& frame) const noexcept {
  const ChainPart& part = parts[static_cast<size_t>(chunk / unit_chunks)];
  const Share units = share_of(first->units(), chunk % unit_chunks, unit_chunks);
  for (int64_t begin = units.begin, end; begin < units.end; begin = end) {
    end = std::min(begin + units_at_once, units.end);
    const Share vectors = first->vectors_of({begin, end});
    const Frame local = frame.with(scratch, frame.at({scratch, 0}) - vectors.begin * kLanes);
    for (Share positions : part.first) first->compute(positions, {begin, end}, local);
    permute(part.permute, vectors, local);
    for (Share positions : part.positions) depthwise->compute(positions, vectors, local);
  }
  if (!last) return;
  for (Share positions : part.positions) last->compute(positions, {0, last->units()}, frame);
}

}  // namespace sparsecpu
