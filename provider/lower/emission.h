// The steps of a Program, added in the order in which they run, in the name of the stage that is being emitted.
#pragma once
#include <initializer_list>
#include <memory>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "lower/buffers.h"
#include "lower/open_chain.h"
#include "lower/stage.h"
#include "lower/workers.h"
#include "run/layout_steps.h"
#include "run/linear_steps.h"
#include "run/program.h"

namespace sparsecpu {

class Emission {
 public:
  Emission(const KernelTable& kernels, Workers workers, Buffers* buffers)
      : kernels_(kernels), workers_(workers), buffers_(*buffers), program_(std::make_unique<Program>()) {
    program_->workers = workers.count;
  }

  const KernelTable& kernels() const { return kernels_; }
  const Workers& workers() const { return workers_; }

  // What is added from here on belongs to this stage.
  void begin(int index, const Stage& stage) {
    stage_ = index;
    op_ = stage.op_indices.front();
  }
  int stage() const { return stage_; }

  // Until it is null again, steps of layers go to the chain, and what lies between them.
  void set_chain(OpenChain* chain) { chain_ = chain; }
  OpenChain* chain() const { return chain_; }

  template <class S>
  S& add(std::unique_ptr<S> step, const char* kernel, std::initializer_list<int> buffers);
  // Of LanePositionStep: f(position of x) -> position of y.
  template <class S>
  S& add_positions(std::unique_ptr<S> step, const char* kernel, const LaneTensor& x, const LaneTensor& y,
                   int other_buffer = -1);
  void also_uses(TensorRef ref) { buffers_.use(ref.buffer, last_); }  // the last step
  LaneStep* last_layer() const { return last_layer_; }                // the last step, if it is one
  void count_tables(size_t bytes) { program_->plan_bytes += bytes; }

  // With its buffers placed.
  std::unique_ptr<const Program> finish();

 private:
  template <class S>
  void keep(std::unique_ptr<S> step);

  const KernelTable& kernels_;
  const Workers workers_;
  Buffers& buffers_;
  std::unique_ptr<Program> program_;
  int stage_ = 0, op_ = -1;
  int last_ = -1;  // index of the step that was added last, or of the chain that it is a part of
  LaneStep* last_layer_ = nullptr;
  OpenChain* chain_ = nullptr;
};

template <class S>
S& Emission::add(std::unique_ptr<S> step, const char* kernel, std::initializer_list<int> buffers) {
  S& added = *step;
  added.kernel = kernel;
  added.op = op_;
  last_ = static_cast<int>(program_->steps.size());
  for (int buffer : buffers) buffers_.use(buffer, last_);
  if constexpr (std::is_base_of_v<LaneStep, S>) {
    last_layer_ = &added;
  } else {
    last_layer_ = nullptr;
  }
  keep(std::move(step));
  return added;
}

// What the first layer of a chain needs comes before it and is a step of its own.
template <class S>
void Emission::keep(std::unique_ptr<S> step) {
  if constexpr (std::is_base_of_v<LaneStep, S>) {
    using Layer = std::conditional_t<std::is_base_of_v<ChannelWindowStep, S>, ChannelWindowStep, LaneStep>;
    if (chain_ != nullptr) return chain_->take(std::unique_ptr<Layer>(std::move(step)));
  } else if constexpr (std::is_same_v<PermuteStep, S>) {
    if (chain_ != nullptr && chain_->has_begun()) return chain_->take(std::move(step));
  } else if (chain_ != nullptr && chain_->has_begun()) {
    throw Error("a step '" + step->kernel + "' comes between the parts of another");
  }
  program_->steps.push_back(std::move(step));
}

template <class S>
S& Emission::add_positions(std::unique_ptr<S> step, const char* kernel, const LaneTensor& x, const LaneTensor& y,
                           int other_buffer) {
  step->kernels = &kernels_;
  step->positions = pixels_of(y.geometry);
  step->vectors = y.vectors;
  step->x = walk_pixels(x);
  step->y = walk_pixels(y);
  S& s = add(std::move(step), kernel, {x.ref.buffer, y.ref.buffer, other_buffer >= 0 ? other_buffer : y.ref.buffer});
  s.chunks = workers_.chunks_for(s.positions.count(), y.vectors * kLanes);
  return s;
}

}  // namespace sparsecpu
