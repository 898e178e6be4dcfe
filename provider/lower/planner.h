// Plans a Program for concrete input shapes, in two passes over the stages:
//   forms    every value's shape, where it lives (row-major or lane-blocked, with which blocks), and the halo
//            that its consumers want around it
//   emission steps and buffers, with layout changes where a value is not in the form a stage needs
#pragma once
#include <bit>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "layout/permute_plan.h"
#include "layout/transfer.h"
#include "lower/arithmetic.h"
#include "lower/layer_pack.h"
#include "lower/stage.h"
#include "ops/window_memory.h"
#include "run/lane_tensor.h"
#include "run/linear_steps.h"
#include "run/program.h"
#include "run/quantized_steps.h"

namespace sparsecpu {

// What stands in a lane-blocked tensor where no pixel is: 32 bits, a float or four bytes.
using FillBits = uint32_t;
constexpr FillBits fill_of(float value) { return std::bit_cast<FillBits>(value); }
constexpr FillBits fill_of_byte(int value) { return static_cast<FillBits>(value) * 0x01010101u; }

// A window over an input, with all numbers explicit: `tensor` is the lane-blocked tensor to read, `first` the
// walk to the first tap of each output position, `taps` the way from there to each tap in floats, row by row.
struct WindowInput {
  LaneTensor tensor;
  Walk first;
  std::vector<ptrdiff_t> taps{0};
};

// What steps take of an Op.
inline Activation activation_of(const Unary& unary) { return {unary.kind, unary.a, unary.b}; }
inline std::optional<Activation> activation_of(const std::optional<Unary>& unary) {
  return unary ? std::optional(activation_of(*unary)) : std::nullopt;
}
inline QuantizeParameters parameters_of(const Quantization& q) { return {q.scale, q.stored_zero_point()}; }

// Fewest output channels that are worth a chunk of their own.
constexpr int64_t kMinChunkRows = 16;

class AttentionStep;
class ByteAttentionStep;
class ChannelChain;

class Planner {
 public:
  Planner(const OpGraph& graph, const std::vector<Stage>& stages, const LayerPacks& packs, const KernelTable& kernels,
          int workers);
  // Stages [begin, end), from `inputs` of these shapes to `outputs` (values): the Program's inputs and outputs.
  struct Part {
    size_t begin = 0, end = 0;
    std::vector<int> inputs;
    std::vector<Shape> input_shapes;
    std::vector<int> outputs;
  };
  std::unique_ptr<const Program> plan(const Part& part);

 private:
  static constexpr int kNone = -1;
  // Rows and columns around the blocks, in pixels from a block's origin.
  struct Extent {
    int64_t top = 0, left = 0, bottom = 0, right = 0;  // [top, bottom) x [left, right)
  };
  // A value's lane-blocked tensor. fill: what its positions and lanes without a pixel hold, if that is known.
  struct Version {
    LaneTensor tensor;
    Axes axes = Axes::kImage;
    std::optional<FillBits> fill;
  };
  struct Placed {
    Shape shape;
    bool lanes = false;  // home form
    Axes axes = Axes::kImage;
    Geometry blocks;             // home geometry without a halo
    std::optional<Extent> halo;  // what consumers read in place
    FillBits fill = 0;           // there
    ElementType type = ElementType::kFloat;
    int uses = 0;       // by stages
    int last_use = -1;  // stage index; stages_.size() for region outputs
    int region_output = kNone;
    int dense_buffer = kNone;
    std::optional<TensorRef> quantization;  // DynamicQuantize: scale and zero point of this run
    bool shared = false;                    // a Reshape gave its memory a second name
    std::vector<Version> versions;          // lane-blocked, home first
  };
  struct FloatMask {  // made of bools, int32 or bytes
    int value;
    MaskKind kind;
    float masked;
    int64_t keys;
    TensorRef ref;
  };
  struct Buffer {
    BufferPlace place;
    int64_t bytes = 0;
    int first_step = -1, last_step = -1;
    bool by_channel = false;  // threads share its channels, not its positions
  };

  // planner_forms.cc
  void find_shapes();
  void find_forms();
  void set_form(size_t stage);
  static void same_form(const Placed& in, Placed& out);
  void form_of_linear(size_t stage, Placed& out);
  void form_of_binary(const Op& op, Placed& out);
  void form_of_byte_binary(const Op& op, const std::optional<ChannelBytes>& constant, Placed& out);
  void form_of_reshape(const Op& op, Placed& out);
  void form_of_norm(const Placed& in, Placed& out);
  void place_lanes(Placed& out, Axes axes);
  void demand_window(int value, const Placed& out, const Window& window, const WindowExtent& extent, FillBits fill);
  bool runs_row_major(size_t stage) const;
  bool has_pixels(size_t stage) const;  // its output is an image of several pixels
  Geometry blocks_of(const Shape& shape, Axes axes) const;
  bool gathers_taps(const Stage& layer) const;
  static bool is_empty(const Shape& shape);
  static int64_t token_count(const Shape& shape);
  static FillBits pool_fill(const Pool& pool, ElementType type);
  static bool same_blocks(const Geometry& a, const Geometry& b);
  static bool covers(const Geometry& have, const Geometry& need);
  static Geometry with_extent(const Geometry& blocks, const Extent& extent);

  // planner_layout.cc: values in the form that a stage needs
  TensorRef dense_of(int value);
  LaneTensor lanes_of(int value, const Geometry& blocks, Axes axes);
  WindowInput window_of(int value, const Placed& out, const Window& window, const WindowExtent& extent, FillBits fill);
  const Version* find_version(int value, Axes axes, const Geometry& need, std::optional<FillBits> fill) const;
  const Version* complete_version(int value, Axes axes) const;  // holds every pixel, whatever its blocks
  LaneTensor imported(int value, const Geometry& geometry, Axes axes, FillBits fill, bool transposed = false);
  LaneTensor image_of(int value);
  LaneTensor new_relaid(const LaneTensor& source, const Geometry& destination, int64_t vectors);
  LaneTensor relaid(const LaneTensor& source, const Geometry& destination, const PixelMap& map, FillBits fill);
  void permute_into(const LaneTensor& source, const LaneTensor& target, const PixelMap& map, FillBits fill);
  void add_permute(PermutePlan plan, const LaneTensor& source, const LaneTensor& target, FillBits fill,
                   const char* name);
  void add_export(int value, const LaneTensor& lanes, TensorRef target, const TransferPlan& plan);
  void add_import(int value, TensorRef source, const LaneTensor& target, const TransferPlan& plan, FillBits fill);
  static WindowInput window_walk(const LaneTensor& tensor, const Geometry& need, const Window& window);
  WindowInput gathered(int value, const Placed& out, const Window& window, const WindowLayout& layout, FillBits fill);
  void fill_lanes(const LaneTensor& target, FillBits fill);
  Geometry home_geometry(int value) const;
  LaneTensor new_tensor(const Geometry& geometry, int64_t vectors);
  LaneTensor new_lanes(int value);                              // home tensor of a stage's output
  LaneTensor adopt_lanes(int value, const LaneTensor& tensor);  // as home, in place of a new one
  TensorRef new_dense(int value);
  void fill_halo(int value);

  // planner_operands.cc: what a step on the positions of `out` reads beside its first input. Its shape may be smaller.
  struct Operand {
    LaneTensor tensor;
    Walk walk;
  };
  Operand operand_of(int value, int out);
  TensorRef dense_operand_of(int value, int out);
  Operand constant_operand(const ChannelBytes& constant, int out);
  LaneTensor channel_lanes_of(int value, const Geometry& like);
  TensorRef repeated(int value, const Shape& shape);
  LaneTensor repeated_lanes(int value, const Shape& shape, const Geometry& blocks, Axes axes);
  static bool is_one_a_channel(const Shape& operand, const Shape& image);

  // planner_emit.cc: one function a kind of stage
  void emit_stages();
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
  void average_from_bytes(const Stage::FromBytes& how, GlobalAverageStep* step);
  void pixel_masks(const LaneTensor& x, std::vector<ptrdiff_t>* offsets, std::vector<uint16_t>* masks);
  void copy_channels(LaneTensor x, int64_t x_first, LaneTensor y, int64_t y_first, int64_t channels, bool bytes,
                     const char* name);
  void name_channels(const Op& op, const LaneTensor& source, ChannelRange range);
  void emit_relayout(const Stage& stage, const PixelMap& map, FillBits fill);
  void emit_outputs();
  template <class S>
  S& add_position_step(std::unique_ptr<S> step, const char* kernel, const LaneTensor& x, const LaneTensor& y,
                       int other_buffer = kNone);

  // planner_tokens.cc
  void emit(const Stage& stage, const LayerNorm& norm);
  void emit(const Stage& stage, const Attention& attention);
  void emit(const Stage& stage, const SelectToken& select);
  void set_softmax(const Stage& stage, const QuantizedAttention& attention, ByteAttentionStep* step) const;
  void emit(const Stage& stage, const QuantizedAttention& attention);
  void add_attention(const Stage& stage, const Attention& attention, std::unique_ptr<AttentionStep> step,
                     const char* kernel);
  TensorRef float_mask(int value, const Attention& attention, int64_t keys);
  TensorRef byte_mask(int value);

  // planner_linear.cc
  void emit(const Stage& stage, const Linear& linear, const LayerPack& pack);
  struct LinearOperands {
    WindowInput x;
    std::optional<Operand> addend;
    LaneTensor y;
    std::optional<Activation> post;
    std::optional<FloatTail> tail;
    std::vector<int> more_buffers;  // the tail's
  };
  void emit_lane_linear(const Stage& stage, const Linear& linear, const LayerPack& pack,
                        const std::optional<Activation>& post);
  void emit_jit(const Linear& linear, const PackedJit& code, const LinearOperands& operands);
  void emit_stream(const Stage& stage, const Linear& linear, const LayerPack& pack, const LinearOperands& operands);
  static void set_code(JitStep& step, const Window& window, const PackedJit& code, const LinearOperands& operands);
  void place_output(const Stage& stage, LinearOperands* operands);
  template <class S>
  void add_linear_step(std::unique_ptr<S> step, const char* kernel, const LinearShape& linear,
                       const LinearOperands& operands);
  WindowInput linear_input(const Stage& stage, const LinearShape& linear, FillBits fill);
  static ptrdiff_t tap_of(const Window& window, const WindowInput& x, const ChunkOrigin& origin);
  void partition(LaneLinearStep& step) const;
  void partition(JitStep& step) const;

  // planner_rows.cc
  void emit_few_rows(const Stage& stage, const LayerPack& pack, const std::optional<Activation>& post);
  void emit_quantized_few_rows(const Stage& stage, const QuantizedLinear& linear, const PackedQFewRows& packed,
                               const std::optional<Activation>& post);
  TensorRef row_major_of(int value, size_t stage);
  TensorRef row_major_residual(const Stage& stage, size_t index);
  TensorRef new_row_major(int value, size_t stage);
  void place_row_major(int value, TensorRef rows, size_t stage);
  TensorRef channels_last(int value, TensorRef tensor, const Shape& shape);
  size_t index_of(const Stage& stage) const { return static_cast<size_t>(&stage - stages_.data()); }

  // planner_quantized.cc
  void emit(const Stage& stage, const Quantize& quantize);
  void emit(const Stage& stage, const Dequantize& dequantize);
  void emit(const Stage& stage, const DynamicQuantize& quantize);
  void emit(const Stage& stage, const QuantizedAdd& add);
  void emit(const Stage& stage, const QuantizedMul& mul);
  void emit(const Stage& stage, const Lookup& lookup);
  void emit(const Stage& stage, const QuantizedLinear& linear, const LayerPack& pack);
  void emit_byte_binary(const Stage& stage, const QuantizedBinary& function, bool multiply,
                        const std::optional<ChannelBytes>& constant, bool exchange);
  void emit_quantized_lanes(const Stage& stage, const QuantizedLinear& linear, const LayerPack& pack,
                            const LinearShape& shape, const LinearOperands& operands);
  QuantizedFinish finish_of(const Stage& stage, const QuantizedLinear& linear, const QuantizedRows& rows);
  const float* float_bias_of(const Stage& stage) const;
  void also_uses(const QuantizedFinish& output);  // the run's own scales
  void scale_dynamically(int value, const QuantizedRows& rows, QuantizedFinish* finish);
  void add_flat(std::unique_ptr<FlatByteStep> step, const char* kernel, int in, int out);

  // planner_stretch.cc
  struct Stretch {
    std::vector<size_t> stages;
    FloatTail tail;
    int residual = kNone;
  };
  const Stage* sole_reader(int value) const;
  bool is_ready(int value) const;  // computed, or an input
  bool extend(Stretch& stretch, const Stage& next, int value) const;
  Stretch stretch_after(const Stage& stage) const;
  void place_stretch(const Stage& stage, LinearOperands* operands);

  // planner_chains.cc
  enum class ChainKind { kNone, kPositions, kChannels, kParts };
  struct OpenChain;
  struct WorkerBuffer {
    int buffer = kNone;
    int64_t floats = 0;
  };
  bool feeds_only_next(size_t stage) const;
  ChainKind chain_of(size_t stage) const;
  ChainKind chain_of_channels(size_t stage) const;
  int64_t unit_bytes(size_t stage) const;
  int64_t part_rows(size_t stage) const;
  size_t emit_chain(ChainKind kind, size_t stage);
  void choose_units(size_t stage);
  std::unique_ptr<Step> position_chain(std::vector<std::unique_ptr<Step>> steps, const OpenChain& chain);
  std::unique_ptr<Step> channel_chain(std::vector<std::unique_ptr<Step>> steps, const OpenChain& chain);
  void divide(ChannelChain* step, const LaneTensor& between) const;
  LaneTensor scratch_tensor(const Geometry& geometry, int64_t vectors);
  LaneTensor worker_tensor(const Geometry& geometry, int64_t vectors);
  WorkerBuffer& worker_buffer(int index);
  std::vector<std::unique_ptr<Step>> take_steps(size_t first);

  // planner_memory.cc
  int new_buffer(int64_t elements, int64_t element_bytes);
  int fixed_buffer(BufferPlace::Kind kind, size_t index);
  int constant_buffer(const void* data);
  template <class S>
  S& add(std::unique_ptr<S> step, const char* kernel, std::initializer_list<int> buffers);
  void use_buffer(int buffer, int step);
  void also_uses(TensorRef ref) {
    use_buffer(ref.buffer, static_cast<int>(program_->steps.size()) - 1);
  }  // the last step
  static int64_t place_of(const Buffer& buffer, const std::vector<const Buffer*>& placed);
  void place_buffers();

  static uint8_t sign_of(ElementType type) { return type == ElementType::kInt8 ? 0x80 : 0; }
  static bool is_bytes(ElementType type) { return type != ElementType::kFloat; }
  bool is_bytes(int value) const { return is_bytes(at(value).type); }
  // Element strides of (image, channel, row, column) in the row-major tensor of this shape.
  static TensorStrides strides_of(const Shape& shape, Axes axes);
  int64_t channels_of(int value, Axes axes) const;
  int64_t vectors_of(int value, Axes axes) const;
  Placed& at(int value) { return values_[static_cast<size_t>(value)]; }
  const Placed& at(int value) const { return values_[static_cast<size_t>(value)]; }
  int chunks_for(int64_t units, int64_t floats_per_unit) const;
  int64_t even_chunks(int64_t most) const;
  // Of one step: enough that threads can help each other, one if there is only one.
  int64_t most_chunks() const { return workers_ == 1 ? 1 : 4 * workers_; }
  // Nothing reads `value` after this stage.
  bool dies_here(int value) const {
    return at(value).last_use == stage_ && at(value).region_output == kNone && !at(value).shared;
  }

  const OpGraph& graph_;
  const std::vector<Stage>& stages_;
  const LayerPacks& packs_;  // one per stage
  const KernelTable& kernels_;
  const int workers_;
  Part part_;
  int stage_ = 0;              // being emitted
  std::vector<bool> emitted_;  // stages that are part of an earlier one's step
  // Stages that become one step: where what lies between the first two is kept, a part of it at a time, and what lies
  // between the second and a third.
  struct OpenChain {
    ChainKind kind;
    int value, second;    // between the stages; second: kNone if there are two
    int scratch;          // buffer
    int64_t units = 0;    // of the first stage at once; of positions' chains 0
    int64_t vectors = 0;  // of these, at most
    int64_t floats = 0, position_stride = 0;
  };
  std::optional<OpenChain> chain_;
  WorkerBuffer worker_buffers_[kWorkerBuffers];  // a chain's scratch; what lies between its second and third stage
  std::vector<Placed> values_;
  std::vector<FloatMask> float_masks_;
  std::vector<Buffer> buffers_;
  std::unique_ptr<Program> program_;
};

template <class S>
S& Planner::add(std::unique_ptr<S> step, const char* kernel, std::initializer_list<int> buffers) {
  S& added = *step;
  added.kernel = kernel;
  added.op = stages_[static_cast<size_t>(stage_)].op_indices.front();
  const int index = static_cast<int>(program_->steps.size());
  for (int b : buffers) use_buffer(b, index);
  program_->steps.push_back(std::move(step));
  return added;
}

template <class S>
S& Planner::add_position_step(std::unique_ptr<S> step, const char* kernel, const LaneTensor& x, const LaneTensor& y,
                              int other_buffer) {
  step->kernels = &kernels_;
  step->positions = pixels_of(y.geometry);
  step->vectors = y.vectors;
  step->x = walk_pixels(x);
  step->y = walk_pixels(y);
  S& s =
      add(std::move(step), kernel, {x.ref.buffer, y.ref.buffer, other_buffer != kNone ? other_buffer : y.ref.buffer});
  s.chunks = chunks_for(s.positions.count(), y.vectors * kLanes);
  return s;
}

template <class S>
void Planner::add_linear_step(std::unique_ptr<S> step, const char* kernel, const LinearShape& linear,
                              const LinearOperands& operands) {
  step->kernels = &kernels_;
  step->positions = pixels_of(operands.y.geometry);
  step->x = operands.x.first;
  step->y = walk_pixels(operands.y);
  if (operands.addend) step->residual = operands.addend->walk;
  step->post = operands.post;
  step->tail = operands.tail;
  step->rows = linear.out_channels;
  step->rows_per_vector = static_cast<int>(ceil_div(linear.out_channels, operands.y.vectors));
  partition(*step);
  buffers_[static_cast<size_t>(operands.y.ref.buffer)].by_channel = step->position_chunks < step->unit_chunks;
  const int y = operands.y.ref.buffer;
  add(std::move(step), kernel,
      {operands.x.tensor.ref.buffer, y, operands.addend ? operands.addend->tensor.ref.buffer : y});
  const int index = static_cast<int>(program_->steps.size()) - 1;
  for (int buffer : operands.more_buffers) use_buffer(buffer, index);
}

}  // namespace sparsecpu
