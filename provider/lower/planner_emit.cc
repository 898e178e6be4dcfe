// Second pass: the steps of each kind of stage (those of linear layers are in planner_linear.cc).
#include <algorithm>
#include <utility>

#include "base/quantization.h"
#include "lower/planner.h"
#include "run/pointwise_steps.h"
#include "run/quantized_steps.h"
#include "run/window_steps.h"

namespace sparsecpu {
namespace {

// Pixels under the window along one axis, for each output index: inside the image, or inside the padded image, in place
// of which onnxruntime counts the whole window on bytes.
std::vector<float> pixels_covered(const Pool& pool, size_t axis, int64_t size, const WindowExtent& extent,
                                  int64_t outputs) {
  std::vector<float> counts;
  const int64_t before = extent.pads[axis], after = extent.pads[axis + 2];
  const int64_t low = pool.count_include_pad ? -before : 0;
  const int64_t high = pool.count_include_pad ? size + after : size;
  const bool whole = pool.count_include_pad && pool.bytes;
  for (int64_t o = 0; o < outputs; ++o) {
    int64_t n = 0;
    for (int64_t k = 0; k < pool.window.kernel[axis]; ++k) {
      const int64_t pixel = o * pool.window.stride[axis] - before + k * pool.window.dilation[axis];
      n += whole || (pixel >= low && pixel < high);
    }
    counts.push_back(static_cast<float>(n));
  }
  return counts;
}

}  // namespace

// A stage whose output has no elements computes nothing, unless it is the scale of nothing.
void Planner::emit_stage(size_t index) {
  const Stage& stage = stages_[index];
  if (is_empty(at(stage.op.output).shape) && !std::holds_alternative<DynamicQuantize>(stage.op.data)) return;
  std::visit(
      [&](const auto& data) {
        if constexpr (std::is_same_v<std::decay_t<decltype(data)>, Linear>) {
          emit(stage, data, *packs_[index]);
        } else if constexpr (std::is_same_v<std::decay_t<decltype(data)>, QuantizedLinear>) {
          emit(stage, data, *packs_[index]);
        } else {
          emit(stage, data);
        }
      },
      stage.op.data);
  fill_halo(stage.op.output);
}

void Planner::emit(const Stage& stage, const Unary& unary) {
  const int in = stage.op.inputs[0];
  const int out = stage.op.output;
  const Activation function = activation_of(unary);
  if (!at(out).lanes) {
    auto step = std::make_unique<FlatStep>();
    step->what = FlatStep::Kind::kUnary;
    step->kernels = &kernels_;
    step->count = elements_of(at(out).shape);
    step->x = dense_of(in);
    step->y = new_dense(out);
    step->function = function;
    const int x = step->x.buffer, y = step->y.buffer;
    FlatStep& s = add(std::move(step), "unary", {x, y});
    s.chunks = chunks_for(s.count / kLanes + 1, kLanes);
    return;
  }
  const LaneTensor x = lanes_of(in, at(out).blocks, at(out).axes);
  const LaneTensor y = new_lanes(out);
  auto step = std::make_unique<LaneUnaryStep>();
  step->function = function;
  add_position_step(std::move(step), "unary", x, y);
}

void Planner::emit(const Stage& stage, const Binary& binary) {
  emit_binary(stage.op.inputs[0], stage.op.inputs[1], stage.op.output, binary.kind, activation_of(stage.post));
}

void Planner::emit_binary(int first, int second, int output, BinaryKind kind, std::optional<Activation> post) {
  if (!at(output).lanes) {
    auto step = std::make_unique<FlatStep>();
    step->what = FlatStep::Kind::kBinary;
    step->kernels = &kernels_;
    step->count = elements_of(at(output).shape);
    step->x = dense_operand_of(first, output);
    step->second = dense_operand_of(second, output);
    step->y = new_dense(output);
    step->binary = kind;
    step->function = post;
    const int a = step->x.buffer, b = step->second.buffer, y = step->y.buffer;
    FlatStep& s = add(std::move(step), "binary", {a, b, y});
    s.chunks = chunks_for(s.count / kLanes + 1, kLanes);
    return;
  }
  const Operand x = operand_of(first, output), other = operand_of(second, output);
  const LaneTensor y = new_lanes(output);
  auto step = std::make_unique<LaneBinaryStep>();
  step->kind = kind;
  step->post = post;
  step->second = other.walk;
  add_position_step(std::move(step), "binary", x.tensor, y, other.tensor.ref.buffer).x = x.walk;
}

void Planner::emit(const Stage& stage, const Affine& affine) {
  const Placed& out = at(stage.op.output);
  const LaneTensor x = lanes_of(stage.op.inputs[0], out.blocks, out.axes);
  const LaneTensor y = new_lanes(stage.op.output);
  auto step = std::make_unique<LaneAffineStep>();
  const auto widen = [&](const std::vector<float>& v) {
    return v.size() == 1 ? std::vector<float>(static_cast<size_t>(x.vectors), v[0]) : v;
  };
  step->scale = widen(affine.scale);
  step->shift = widen(affine.shift);
  add_position_step(std::move(step), "affine", x, y);
}

void Planner::emit(const Stage& stage, const Pool& pool) {
  const int in = stage.op.inputs[0];
  const Placed& out = at(stage.op.output);
  const WindowExtent extent = window_extent(pool.window, image_size(at(in).shape));
  const WindowInput x = window_of(in, out, pool.window, extent, pool_fill(pool, at(in).type));
  const LaneTensor y = new_lanes(stage.op.output);
  std::unique_ptr<PoolStep> step;
  if (pool.bytes) {
    auto average = std::make_unique<ByteAveragePoolStep>();
    average->from = parameters_of(pool.bytes->x);
    average->to = parameters_of(pool.bytes->y);
    average->sign = pool.bytes->y.is_signed ? 0x80 : 0;
    step = std::move(average);
  } else if (is_bytes(in)) {
    step = std::make_unique<ByteMaxPoolStep>();
  } else if (pool.kind == PoolKind::kAverage) {
    step = std::make_unique<AveragePoolStep>();
  } else {
    step = std::make_unique<MaxPoolStep>();
  }
  const bool average = pool.kind == PoolKind::kAverage;
  step->kernels = &kernels_;
  step->positions = pixels_of(y.geometry);
  step->vectors = y.vectors;
  step->x = x.first;
  step->y = walk_pixels(y);
  step->taps = x.taps;
  if (static_cast<int64_t>(step->taps.size()) > kMostPooledPixels) {
    throw Error("node '" + stage.op.name + "': a pooling window of " + std::to_string(step->taps.size()) +
                " pixels; at most " + std::to_string(kMostPooledPixels) + " are supported");
  }
  step->geometry = out.blocks;
  if (average) {
    step->rows_covered =
        pixels_covered(pool, 0, image_size(at(in).shape)[0], extent, out.blocks.lanes_h * out.blocks.step_h);
    step->columns_covered =
        pixels_covered(pool, 1, image_size(at(in).shape)[1], extent, out.blocks.lanes_w * out.blocks.step_w);
  }
  PoolStep& s = add(std::move(step), average ? "average pool" : "max pool", {x.tensor.ref.buffer, y.ref.buffer});
  s.chunks = chunks_for(s.positions.count(), y.vectors * kLanes * static_cast<int64_t>(s.taps.size()));
}

void Planner::emit(const Stage& stage, const GlobalAverage& average) {
  const int in = stage.op.inputs[0];
  const LaneTensor x = image_of(in);
  if (average.bytes && x.geometry.positions() == 0) {
    throw Error("node '" + stage.op.name + "': an average over an image of shape " + dims_text(at(in).shape) +
                ", which has no pixels");
  }
  const TensorRef y = new_dense(stage.op.output);
  const auto finish = [&](auto step) {
    step->kernels = &kernels_;
    step->x = x;
    step->y = y;
    pixel_masks(x, &step->offsets, &step->masks);
    auto& s = add(std::move(step), "global average", {x.ref.buffer, y.buffer});
    s.chunks = chunks_for(ceil_div(x.vectors, 16), 16 * kLanes * x.geometry.positions() * x.geometry.groups());
    return &s;
  };
  if (!average.bytes) {
    auto step = std::make_unique<GlobalAverageStep>();
    step->channels = channels_of(in, Axes::kImage);
    GlobalAverageStep* added = finish(std::move(step));
    if (stage.from_bytes) average_from_bytes(*stage.from_bytes, added);
    return;
  }
  auto step = std::make_unique<ByteGlobalAverageStep>();
  const Quantization& from = average.bytes->x;
  const Quantization& to = average.bytes->y;
  step->channels = channels_of(in, Axes::kImage);
  step->x_zero_point = from.stored_zero_point();
  step->y_zero_point = to.stored_zero_point();
  step->y_sign = to.is_signed ? 0x80 : 0;
  step->multiplier = global_average_multiplier(from.scale, to.scale, x.geometry.h * x.geometry.w);
  finish(std::move(step));
}

void Planner::average_from_bytes(const Stage::FromBytes& how, GlobalAverageStep* step) {
  constexpr int64_t kPositionFloats = GlobalAverageStep::kChannelsOfBytes * kLanes;
  const auto positions = static_cast<int64_t>(step->offsets.size());
  GlobalAverageStep::FromBytes& from = step->from_bytes.emplace();
  from.parameters = parameters_of(how.x);
  from.activation = activation_of(how.activation);
  from.scratch = {new_buffer(step->chunks * positions * kPositionFloats, sizeof(float)), 0};
  use_buffer(from.scratch.buffer, static_cast<int>(program_->steps.size()) - 1);
  for (int64_t p = 0; p < positions; ++p) from.offsets.push_back(p * kPositionFloats);
}

// The positions of a batch group that hold pixels, and the lanes that do there.
void Planner::pixel_masks(const LaneTensor& x, std::vector<ptrdiff_t>* offsets, std::vector<uint16_t>* masks) {
  const Geometry& g = x.geometry;
  for (int64_t r = 0; r < g.step_h; ++r) {
    for (int64_t c = 0; c < g.step_w; ++c) {
      uint16_t mask = 0;
      for (int i = 0; i < g.lanes_n; ++i) {
        for (int bi = 0; bi < g.lanes_h; ++bi) {
          for (int bj = 0; bj < g.lanes_w; ++bj) {
            if (bi * g.step_h + r < g.h && bj * g.step_w + c < g.w)
              mask |= static_cast<uint16_t>(1u << g.lane(i, bi, bj));
          }
        }
      }
      masks->push_back(mask);
      offsets->push_back((r - g.origin_h) * x.row_stride() + (c - g.origin_w) * x.position_stride);
    }
  }
}

void Planner::emit(const Stage& stage, const Pad& pad) {
  PixelMap map;
  map.rows.shift = -pad.pads[0];
  map.columns.shift = -pad.pads[1];
  const ElementType type = at(stage.op.inputs[0]).type;
  const bool bytes = is_bytes(type);
  emit_relayout(stage, map, bytes ? fill_of_byte(static_cast<int>(pad.value) + sign_of(type)) : fill_of(pad.value));
}

void Planner::emit(const Stage& stage, const Resize& resize) {
  const Shape& in = at(stage.op.inputs[0]).shape;
  auto sources = resize_sources(resize, image_size(in));
  PixelMap map;
  map.rows.table = std::move(sources[0]);
  map.columns.table = std::move(sources[1]);
  emit_relayout(stage, map, 0);
}

void Planner::emit_relayout(const Stage& stage, const PixelMap& map, FillBits fill) {
  const int in = stage.op.inputs[0];
  const LaneTensor source = image_of(in);
  permute_into(source, new_lanes(stage.op.output), map, fill);
}

void Planner::emit(const Stage& stage, const Concat&) {
  const Placed& out = at(stage.op.output);
  const Axes axes = out.axes;
  struct Part {
    LaneTensor lanes;
    int64_t channels;
  };
  std::vector<Part> parts;
  for (int input : stage.op.inputs) {
    if (!is_empty(at(input).shape)) parts.push_back({lanes_of(input, out.blocks, axes), channels_of(input, axes)});
  }
  const LaneTensor whole = new_lanes(stage.op.output);
  int64_t first = 0;
  for (const Part& part : parts) {
    copy_channels(part.lanes, 0, whole, first, part.channels, is_bytes(stage.op.output), "concat");
    first += part.channels;
  }
}

void Planner::emit(const Stage& stage, const Split& split) {
  const Placed& out = at(stage.op.output);
  const int in = stage.op.inputs[0];
  const LaneTensor source = lanes_of(in, out.blocks, out.axes);
  const ChannelRange range = channel_range(split, channels_of(in, split.axes));
  if (split.axes == Axes::kTokens && !is_bytes(stage.op.output)) {
    name_channels(stage.op, source, range);
    return;
  }
  copy_channels(source, range.begin, new_lanes(stage.op.output), 0, range.end - range.begin, is_bytes(stage.op.output),
                "split");
}

// A range of a token's channels is a tensor with wider steps between tokens: nothing moves.
void Planner::name_channels(const Op& op, const LaneTensor& source, ChannelRange range) {
  at(op.inputs[0]).shared = at(op.output).shared = true;
  LaneTensor part = source;
  part.ref.offset += range.begin * kLanes;
  part.vectors = range.end - range.begin;
  adopt_lanes(op.output, part);
}

// Whole vectors where the channels begin and end on them, else byte by byte.
void Planner::copy_channels(LaneTensor x, int64_t x_first, LaneTensor y, int64_t y_first, int64_t channels, bool bytes,
                            const char* name) {
  const int64_t per_vector = bytes ? 4 : 1;
  const bool ends_whole = channels % per_vector == 0 || y_first + channels == y.vectors * per_vector;
  if (bytes && (x_first % 4 != 0 || y_first % 4 != 0 || !ends_whole)) {
    auto step = std::make_unique<LaneByteCopyStep>();
    step->x_first = x_first;
    step->y_first = y_first;
    step->channels = channels;
    add_position_step(std::move(step), name, x, y);
    return;
  }
  x.ref.offset += x_first / per_vector * kLanes;
  y.ref.offset += y_first / per_vector * kLanes;
  y.vectors = ceil_div(channels, per_vector);
  add_position_step(std::make_unique<LaneCopyStep>(), name, x, y);
}

void Planner::emit(const Stage& stage, const Reshape&) {
  const int in = stage.op.inputs[0];
  Placed& out = at(stage.op.output);
  out.shared = at(in).shared = true;
  if (!out.lanes) {
    out.dense_buffer = dense_of(in).buffer;
    return;
  }
  const LaneTensor same = lanes_of(in, out.blocks, out.axes);
  out.versions = {{same, out.axes, std::nullopt}};
}

void Planner::emit_outputs() {
  for (int value : part_.outputs) {
    const TensorRef made = dense_of(value);
    const BufferPlace& place = buffers_[static_cast<size_t>(made.buffer)].place;
    if (place.kind == BufferPlace::Kind::kOutput && place.index == static_cast<size_t>(at(value).region_output))
      continue;
    auto step = std::make_unique<FlatByteStep>();
    step->count = elements_of(at(value).shape) * (is_bytes(value) ? 1 : 4);
    step->x = made;
    step->y = {fixed_buffer(BufferPlace::Kind::kOutput, static_cast<size_t>(at(value).region_output)), 0};
    FlatByteStep& s = add(std::move(step), "copy", {made.buffer});
    s.layout = LayoutChange::kCopy;
    s.chunks = chunks_for(ceil_div(s.count, 64), kLanes);
  }
}

}  // namespace sparsecpu
