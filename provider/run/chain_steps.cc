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

void ChannelChain::run(int chunk, const Frame& frame) const noexcept {
  const Share units = share_of(first->units(), chunk, chunks), all{0, first->positions.count()};
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const Share vectors = first->vectors_of({unit, unit + 1});
    const Frame local = frame.with(scratch, frame.at({scratch, 0}) - vectors.begin * kLanes);
    first->compute(all, {unit, unit + 1}, local);
    for (const auto& step : then) step->run_vectors(vectors, local);
  }
}

}  // namespace sparsecpu
