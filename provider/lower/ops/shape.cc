#include "lower/ops/shape.h"

#include "lower/planner.h"
#include "run/byte_steps.h"
#include "run/token_steps.h"

namespace sparsecpu {
namespace {

// The image in other places: a border, or other sizes.
void emit_relayout(const PixelMap& map, FillBits fill, const Stage& stage, Planner& p) {
  const LaneTensor source = p.layouts.image_of(stage.op.inputs[0]);
  p.layouts.add_relayout(source, p.layouts.new_lanes(stage.op.output), map, fill);
}

// Whole vectors where the channels begin and end on them, else byte by byte.
void copy_channels(LaneTensor x, int64_t x_first, LaneTensor y, int64_t y_first, int64_t channels, bool bytes,
                   const char* name, Planner& p) {
  const int64_t per_vector = bytes ? 4 : 1;
  const bool ends_whole = channels % per_vector == 0 || y_first + channels == y.vectors * per_vector;
  if (bytes && (x_first % 4 != 0 || y_first % 4 != 0 || !ends_whole)) {
    auto step = std::make_unique<LaneByteCopyStep>();
    step->x_first = x_first;
    step->y_first = y_first;
    step->channels = channels;
    p.emission.add_positions(std::move(step), name, x, y);
    return;
  }
  x.ref.offset += x_first / per_vector * kLanes;
  y.ref.offset += y_first / per_vector * kLanes;
  y.vectors = ceil_div(channels, per_vector);
  p.emission.add_positions(std::make_unique<LaneCopyStep>(), name, x, y);
}

// The output is what lies row-major in the input from the element `first` on: nothing moves.
void name_elements(int64_t first, const Stage& stage, Planner& p) {
  const int in = stage.op.inputs[0];
  TensorRef elements = p.layouts.dense_of(in);
  elements.offset += first;
  Placed& out = p.placement.at(stage.op.output);
  out.shared = p.placement.at(in).shared = true;
  out.dense = elements;
}

// A range of a token's channels is a tensor with wider steps between tokens: nothing moves.
void name_channels(const LaneTensor& source, ChannelRange range, const Stage& stage, Planner& p) {
  p.placement.at(stage.op.inputs[0]).shared = p.placement.at(stage.op.output).shared = true;
  LaneTensor part = source;
  part.ref.offset += range.begin * kLanes;
  part.vectors = range.end - range.begin;
  p.layouts.adopt_lanes(stage.op.output, part);
}

}  // namespace

void form(const Pad&, const Stage& stage, Placement& placement) {
  placement.at(stage.op.output).place_lanes(Axes::kImage);
}

void emit(const Pad& pad, const Stage& stage, Planner& p) {
  PixelMap map;
  map.rows.shift = -pad.pads[0];
  map.columns.shift = -pad.pads[1];
  const ElementType type = p.placement.at(stage.op.inputs[0]).type;
  const FillBits fill = is_bytes(type) ? fill_of_byte(static_cast<int>(pad.value) + sign_of(type)) : fill_of(pad.value);
  emit_relayout(map, fill, stage, p);
}

void form(const Resize&, const Stage& stage, Placement& placement) {
  placement.at(stage.op.output).place_lanes(Axes::kImage);
}

void emit(const Resize& resize, const Stage& stage, Planner& p) {
  auto sources = resize_sources(resize, image_size(p.placement.shape(stage.op.inputs[0])));
  PixelMap map;
  map.rows.table = std::move(sources[0]);
  map.columns.table = std::move(sources[1]);
  emit_relayout(map, 0, stage, p);
}

void form(const Concat& concat, const Stage& stage, Placement& placement) {
  placement.at(stage.op.output).place_lanes(concat.axes);
}

void emit(const Concat&, const Stage& stage, Planner& p) {
  const Placed& out = p.placement.at(stage.op.output);
  struct Source {
    LaneTensor lanes;
    int64_t channels;
  };
  std::vector<Source> parts;
  for (int input : stage.op.inputs) {
    const Placed& in = p.placement.at(input);
    if (is_empty(in.shape)) continue;
    parts.push_back({p.layouts.lanes_of(input, out.blocks, out.axes), in.channels(out.axes)});
  }
  const LaneTensor whole = p.layouts.new_lanes(stage.op.output);
  int64_t first = 0;
  for (const Source& part : parts) {
    copy_channels(part.lanes, 0, whole, first, part.channels, out.is_bytes(), "concat", p);
    first += part.channels;
  }
}

// A range of one token that lies row-major is row-major, too, and need not move.
void form(const Split& split, const Stage& stage, Placement& placement) {
  const Placed& in = placement.at(stage.op.inputs[0]);
  Placed& out = placement.at(stage.op.output);
  const bool one_token = split.axes == Axes::kTokens && !in.lanes && !in.is_bytes() && token_count(in.shape) == 1;
  if (!one_token || out.region_output != kNone) out.place_lanes(split.axes);
}

void emit(const Split& split, const Stage& stage, Planner& p) {
  const Placed& out = p.placement.at(stage.op.output);
  const int in = stage.op.inputs[0];
  const ChannelRange range = channel_range(split, p.placement.at(in).channels(split.axes));
  if (!out.lanes) return name_elements(range.begin, stage, p);
  const LaneTensor source = p.layouts.lanes_of(in, out.blocks, out.axes);
  if (split.axes == Axes::kTokens && !out.is_bytes()) return name_channels(source, range, stage, p);
  copy_channels(source, range.begin, p.layouts.new_lanes(stage.op.output), 0, range.end - range.begin, out.is_bytes(),
                "split", p);
}

// Lane-blocked tokens stay so when only the leading axes are regrouped.
void form(const Reshape&, const Stage& stage, Placement& placement) {
  const Placed& in = placement.at(stage.op.inputs[0]);
  Placed& out = placement.at(stage.op.output);
  const bool relabel =
      in.lanes && in.axes == Axes::kTokens && !out.shape.empty() && out.shape.back() == in.shape.back();
  if (relabel) out.place_as(in);
}

void emit(const Reshape&, const Stage& stage, Planner& p) {
  const int in = stage.op.inputs[0];
  Placed& out = p.placement.at(stage.op.output);
  if (!out.lanes) return name_elements(0, stage, p);
  out.shared = p.placement.at(in).shared = true;
  out.versions = {{p.layouts.lanes_of(in, out.blocks, out.axes), out.axes, std::nullopt}};
}

void form(const SelectToken&, const Stage&, Placement&) {}  // row-major

void emit(const SelectToken& select, const Stage& stage, Planner& p) {
  const int in = stage.op.inputs[0];
  const Placed& x = p.placement.at(in);
  auto step = std::make_unique<SelectTokenStep>();
  step->sequences = x.shape[0];
  step->tokens = x.shape[1];
  step->channels = x.shape[2];
  step->index = select.index < 0 ? select.index + x.shape[1] : select.index;
  if (const Version* found = x.complete_version(Axes::kTokens)) {
    step->lanes = found->tensor;
  } else {
    step->rows = p.layouts.dense_of(in);
  }
  step->y = p.layouts.new_dense(stage.op.output);
  const int source = step->lanes ? step->lanes->ref.buffer : step->rows.buffer, target = step->y.buffer;
  SelectTokenStep& s = p.emission.add(std::move(step), "select token", {source, target});
  s.chunks = p.emission.workers().chunks_for(s.sequences, s.channels * kLanes);
}

}  // namespace sparsecpu
