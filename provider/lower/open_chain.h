// A chain of stages while they are emitted: it takes their steps, and gives them the memory of what lies between.
#pragma once
#include <memory>
#include <string>

#include "lower/buffers.h"
#include "lower/chains.h"
#include "run/chain_steps.h"
#include "run/layout_steps.h"

namespace sparsecpu {

class OpenChain {
 public:
  OpenChain(const Chain& chain, Buffers* buffers)
      : chain_(chain), buffers_(*buffers), scratch_(buffers->worker(kScratch)) {}

  // The step of the first layer has come.
  bool has_begun() const { return first_ != nullptr; }
  void take(std::unique_ptr<LaneStep> layer);
  void take(std::unique_ptr<ChannelWindowStep> layer);
  void take(std::unique_ptr<PermuteStep> relayout) { relayout_ = std::move(relayout); }

  // The tensor of a value that lies between its stages.
  bool keeps(int value) const { return value == chain_.value || value == chain_.second; }
  LaneTensor tensor_of(int value, const Geometry& geometry, int64_t vectors);
  // Another layout of such a tensor.
  bool holds(const LaneTensor& tensor) const { return tensor.ref.buffer == scratch_; }
  LaneTensor scratch_tensor(const Geometry& geometry, int64_t vectors);

  // What the steps become together, once all have come. kernel(): its name.
  std::string kernel() const;
  std::unique_ptr<PositionChain> position_chain(Workers workers);
  std::unique_ptr<ChannelChain> channel_chain(Workers workers);

 private:
  static constexpr size_t kScratch = 0, kBetween = 1;  // buffers of the worker

  std::vector<const LaneStep*> layers() const;
  std::vector<Step::OpShare> other_ops() const;
  LaneTensor worker_tensor(const Geometry& geometry, int64_t vectors);
  void divide(ChannelChain* step, Workers workers) const;

  const Chain chain_;
  Buffers& buffers_;
  const int scratch_;
  int64_t floats_ = 0, position_stride_ = 0;  // of the scratch memory
  LaneTensor between_;                        // the first two stages
  std::unique_ptr<LaneStep> first_, last_;
  std::unique_ptr<ChannelWindowStep> depthwise_;
  std::unique_ptr<PermuteStep> relayout_;
};

}  // namespace sparsecpu
