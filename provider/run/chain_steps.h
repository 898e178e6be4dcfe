// Two stages as one step, with what lies between them in scratch memory of the worker's own: no thread waits between
// the stages, and their intermediate tensor, of which only the part that is worked on exists, never leaves the core's
// cache.
#pragma once
#include <memory>
#include <vector>

#include "run/lane_step.h"

namespace sparsecpu {

// Block by block of positions (PositionRange): all channels of the first stage, then all of the second, which reads the
// same positions only. For many positions.
class PositionChain final : public Step {
 public:
  std::unique_ptr<LaneStep> first, second;
  int scratch = 0;              // the worker's buffer, which a block's positions fill from the start
  int64_t position_stride = 0;  // there, in floats

  void run(int chunk, const Frame& frame) const noexcept override;
};

// Unit by unit of the first stage's output channels: all its positions, then what follows on the same channels (a
// relayout, a depthwise convolution). For few positions.
class ChannelChain final : public Step {
 public:
  std::unique_ptr<LaneStep> first;
  std::vector<std::unique_ptr<ChannelwiseStep>> then;
  int scratch = 0;  // the worker's buffer, which a unit's channels fill from the start

  void run(int chunk, const Frame& frame) const noexcept override;
};

}  // namespace sparsecpu
