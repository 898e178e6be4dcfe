// Plans a Program for concrete input shapes, in two passes over the stages:
//   forms    every value's shape, where it lives (row-major or lane-blocked, with which blocks), and the halo
//            that its consumers want around it
//   emission steps and buffers, with layout changes where a value is not in the form a stage needs
#pragma once
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "layout/permute_plan.h"
#include "layout/transfer.h"
#include "lower/layer_pack.h"
#include "lower/stage.h"
#include "run/lane_tensor.h"
#include "run/linear_steps.h"
#include "run/program.h"

namespace sparsecpu {

// A window over an input, with all numbers explicit: `input` is the lane-blocked tensor to read, `first` the
// walk to the first tap of each output position.
struct WindowInput {
  LaneTensor tensor;
  Walk first;
  int64_t row_step = 0, column_step = 0;    // floats between vertically, horizontally neighbouring taps
};

class Planner {
 public:
  Planner(const OpGraph& graph, const std::vector<Stage>& stages, const std::vector<LayerPack>& packs,
          const KernelTable& kernels, int workers);
  std::shared_ptr<const Program> plan(const std::vector<Shape>& input_shapes);

 private:
  static constexpr int kNone = -1;
  // Rows and columns around the blocks, in pixels from a block's origin.
  struct Extent {
    int64_t top = 0, left = 0, bottom = 0, right = 0;  // [top, bottom) x [left, right)
  };
  struct Placed {
    Shape shape;
    bool lanes = false;                     // home form
    Axes axes = Axes::kImage;
    Geometry blocks;                        // home geometry without a halo
    std::optional<Extent> halo;             // what consumers read in place
    float fill = 0;
    int last_use = -1;                      // stage index; stages_.size() for region outputs
    int region_output = kNone;
    int dense_buffer = kNone;
    bool shared = false;                    // a Reshape gave its memory a second name
    std::vector<LaneTensor> tensors;        // lane-blocked copies, home first
    std::vector<Axes> tensor_axes;
  };
  struct Buffer {
    BufferPlace place;
    int64_t bytes = 0;
    int first_step = -1, last_step = -1;
  };

  // planner_forms.cc
  void find_forms(const std::vector<Shape>& input_shapes);
  void set_form(size_t stage);
  void form_of_linear(size_t stage, Placed& out);
  void form_of_binary(const Op& op, Placed& out);
  void form_of_reshape(const Op& op, Placed& out);
  void place_lanes(Placed& out, Axes axes);
  void demand_window(int value, const Placed& out, const Window& window, const WindowExtent& extent, float fill);
  bool runs_row_major(size_t stage) const;
  Geometry blocks_of(const Shape& shape, Axes axes) const;
  static Geometry aligned_input(const Geometry& out, const Geometry& in, const Window& window, const WindowExtent& extent);
  static bool same_blocks(const Geometry& a, const Geometry& b);
  static Geometry with_extent(const Geometry& blocks, const Extent& extent);

  // planner_layout.cc: values in the form that a stage needs
  TensorRef dense_of(int value);
  LaneTensor lanes_of(int value, const Geometry& blocks, Axes axes);
  WindowInput window_of(int value, const Placed& out, const Window& window, const WindowExtent& extent, float fill);
  LaneTensor channel_lanes_of(int value, const Geometry& like);
  LaneTensor imported(int value, const Geometry& geometry, Axes axes, float fill, bool transposed = false);
  LaneTensor relaid(const LaneTensor& source, const Geometry& destination, const PixelMap& map, float fill);
  LaneTensor import_strided(TensorRef source, const LaneTensor& target, const TensorStrides& strides, float fill);
  void permute_into(const LaneTensor& source, const LaneTensor& target, const PixelMap& map, float fill);
  void add_permute(PermutePlan plan, const LaneTensor& source, const LaneTensor& target, float fill, const char* name);
  static WindowInput window_walk(const LaneTensor& tensor, const Geometry& need, const Window& window);
  Geometry home_geometry(int value) const;
  LaneTensor new_tensor(const Geometry& geometry, int64_t channels);
  LaneTensor new_lanes(int value);          // home tensor of a stage's output
  LaneTensor adopt_lanes(int value, const LaneTensor& tensor);  // as home, in place of a new one
  TensorRef new_dense(int value);
  void fill_halo(int value);

  // planner_emit.cc: one function a kind of stage
  void emit_stage(size_t stage);
  void emit(const Stage& stage, const Unary& unary);
  void emit(const Stage& stage, const Binary& binary);
  void emit(const Stage& stage, const Affine& affine);
  void emit(const Stage& stage, const Pool& pool);
  void emit(const Stage& stage, const GlobalAverage& average);
  void emit(const Stage& stage, const Pad& pad);
  void emit(const Stage& stage, const Resize& resize);
  void emit(const Stage& stage, const Concat& concat);
  void emit(const Stage& stage, const Split& split);
  void emit(const Stage& stage, const Reshape& reshape);
  void emit_binary(int first, int second, int output, BinaryKind kind, std::optional<Activation> post);
  void emit_relayout(const Stage& stage, const PixelMap& map, float fill);
  void emit_outputs();
  template <class S>
  S& add_position_step(std::unique_ptr<S> step, const char* kernel, const LaneTensor& x, const LaneTensor& y,
                         int other_buffer = kNone);

  // planner_linear.cc
  void emit(const Stage& stage, const Linear& linear, const LayerPack& pack);
  struct LinearOperands {
    WindowInput x;
    std::optional<LaneTensor> addend;
    LaneTensor y;
    std::optional<Activation> post;
  };
  void emit_few_rows(const Stage& stage, const LayerPack& pack, const std::optional<Activation>& post);
  void emit_lane_linear(const Stage& stage, const Linear& linear, const LayerPack& pack,
                        const std::optional<Activation>& post);
  void emit_jit(const Linear& linear, const PackedJit& code, const LinearOperands& operands);
  void emit_stream(const Stage& stage, const Linear& linear, const LayerPack& pack, const LinearOperands& operands);
  LaneTensor residual_of(int value, int out);
  template <class S>
  void add_linear_step(std::unique_ptr<S> step, const char* kernel, const Linear& linear, const LinearOperands& operands);
  WindowInput linear_input(const Stage& stage, const Linear& linear);
  static std::vector<ptrdiff_t> tap_offsets(const Window& window, const WindowInput& x);
  void partition(LaneLinearStep& step) const;
  void partition(JitStep& step) const;

  // planner_memory.cc
  int new_buffer(int64_t floats);
  int fixed_buffer(BufferPlace::Kind kind, size_t index);
  template <class S>
  S& add(std::unique_ptr<S> step, const char* kernel, std::initializer_list<int> buffers);
  void place_buffers();

  Placed& at(int value) { return values_[static_cast<size_t>(value)]; }
  const Placed& at(int value) const { return values_[static_cast<size_t>(value)]; }
  int chunks_for(int64_t units, int64_t floats_per_unit) const;
  // Nothing reads `value` after this stage.
  bool dies_here(int value) const {
    return at(value).last_use == stage_ && at(value).region_output == kNone && !at(value).shared;
  }

  const OpGraph& graph_;
  const std::vector<Stage>& stages_;
  const std::vector<LayerPack>& packs_;     // one per stage; empty unless Linear
  const KernelTable& kernels_;
  const int workers_;
  int stage_ = 0;                           // being emitted
  std::vector<Placed> values_;
  std::vector<Buffer> buffers_;
  std::unique_ptr<Program> program_;
};

template <class S>
S& Planner::add(std::unique_ptr<S> step, const char* kernel, std::initializer_list<int> buffers) {
  S& added = *step;
  added.kernel = kernel;
  added.op = stages_[static_cast<size_t>(stage_)].op_indices.back();
  const int index = static_cast<int>(program_->steps.size());
  for (int b : buffers) {
    Buffer& buffer = buffers_[static_cast<size_t>(b)];
    if (buffer.first_step < 0) buffer.first_step = index;
    buffer.last_step = index;
  }
  program_->steps.push_back(std::move(step));
  return added;
}

template <class S>
S& Planner::add_position_step(std::unique_ptr<S> step, const char* kernel, const LaneTensor& x, const LaneTensor& y,
                                int other_buffer) {
  step->kernels = &kernels_;
  step->positions = pixels_of(y.geometry);
  step->channels = y.channels;
  step->x = walk_pixels(x);
  step->y = walk_pixels(y);
  S& s = add(std::move(step), kernel, {x.ref.buffer, y.ref.buffer, other_buffer != kNone ? other_buffer : y.ref.buffer});
  s.chunks = chunks_for(s.positions.count(), y.channels * kLanes);
  return s;
}

}  // namespace sparsecpu
