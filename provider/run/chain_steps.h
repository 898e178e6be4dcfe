// Two or three stages as one step, with what lies between them in scratch memory of the worker's own: no thread waits
// between the stages, and their intermediate tensor, of which only the part that is worked on exists, never leaves the
// core's cache.
#pragma once
#include <memory>
#include <vector>

#include "run/linear_steps.h"

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

// What one chunk of a ChannelChain has of the positions: of the depthwise layer's output, of the first stage's output,
// and the copies from there to the depthwise layer's input (a halo, a relayout).
struct ChainPart {
  std::vector<Share> positions, first;
  PermutePlan permute;
};

// Some units of the first stage's output channels at a time: the positions that a part of the image needs, then a
// depthwise layer on the same channels. Chunks share parts x units. With few positions there is one part. With many,
// each part has all units and goes on to the third stage, which reads only its own positions; what several parts need
// is computed by each.
class ChannelChain final : public Step {
 public:
  std::unique_ptr<LaneStep> first;
  std::unique_ptr<ChannelWindowStep> depthwise;
  std::unique_ptr<LaneStep> last;  // or null
  std::vector<ChainPart> parts;
  int64_t units_at_once = 1;
  int unit_chunks = 1;
  TensorRef made, read;  // the permute's source and destination
  float fill = 0;        // or four bytes, as a float's bits
  int scratch = 0;       // the worker's buffer, which the units' channels fill from the start

  void run(int chunk, const Frame& frame) const noexcept override;

 private:
  void permute(const PermutePlan& plan, Share vectors, const Frame& frame) const noexcept;
};

}  // namespace sparsecpu
