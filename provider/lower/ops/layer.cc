#include "lower/ops/layer.h"

#include <algorithm>

#include "lower/arithmetic.h"
#include "lower/ops/linear.h"
#include "lower/ops/quantized_linear.h"
#include "lower/parameters.h"
#include "pack/speeds.h"

namespace sparsecpu {
namespace {

// The form that runs at these shapes: row-major for few rows (tokens, or what a file declares as single pixels).
const PackedLayer& form_that_runs(const Stage& stage, const Placement& placement) {
  const LayerPack& pack = *stage.pack;
  const Placed& out = placement.at(stage.op.output);
  const PackedLayer* rows = pack.row_major();
  const PackedLayer* lanes = pack.in_lanes(out.lanes ? pixels_of(out.blocks).count() : 0);
  if (rows == nullptr) return *lanes;
  if (lanes == nullptr) return *rows;
  const int64_t count = elements_of(out.shape) / stage.op.layer()->out_channels;
  const bool few = count < row_major_below(rows->of_bytes(), skips_zeros(rows->form()));
  return few && !has_pixels(stage, placement) ? *rows : *lanes;
}

WindowInput input_of(const Stage& stage, const LinearShape& linear, FillBits fill, Planner& p) {
  const int in = stage.op.inputs[0];
  const Placed& out = p.placement.at(stage.op.output);
  if (linear.axes == Axes::kImage) {
    const WindowExtent extent = window_extent(linear.window, image_size(p.placement.shape(in)));
    return p.layouts.window_of(in, out, linear.window, extent, fill);
  }
  const LaneTensor x = linear.transposed_input ? p.layouts.transposed_lanes_of(in, out.blocks)
                                               : p.layouts.lanes_of(in, out.blocks, Axes::kTokens);
  return {x, walk_pixels(x)};
}

// The layer's addend and its output, which takes the addend's memory where nothing else reads that. In a chain, the
// first stage still reads it for positions of other workers.
void place_output(const Stage& stage, LayerOperands* operands, Planner& p) {
  const int out = stage.op.output;
  if (stage.sum && stage.sum->constant) operands->addend = constant_operand(*stage.sum->constant, out, p);
  if (stage.residual >= 0) operands->addend = operand_of(stage.residual, out, p);
  const bool overwrites = p.emission.chain() == nullptr && stage.residual >= 0 &&
                          p.placement.at(stage.residual).dies_at(p.emission.stage()) &&
                          operands->addend->tensor.geometry == p.placement.at(out).home_geometry() &&
                          operands->addend->tensor.ref.buffer != operands->x.tensor.ref.buffer;
  operands->y = overwrites ? p.layouts.adopt_lanes(out, operands->addend->tensor) : p.layouts.new_lanes(out);
}

// With a stretch behind it, the layer's bytes become scratch; the stretch's result is what the last of its stages
// computes.
void place_result(const Stage& stage, const Stretch& stretch, LayerOperands* operands, Planner& p) {
  const Placed& bytes = p.placement.at(stage.op.output);
  operands->y = p.layouts.new_tensor(bytes.home_geometry(), bytes.vectors(Axes::kTokens));
  operands->tail = stretch.tail;
  if (stretch.residual >= 0) {
    const Geometry& blocks = p.placement.at(stretch.output).blocks;
    const LaneTensor residual = p.layouts.lanes_of(stretch.residual, blocks, Axes::kTokens);
    operands->tail->residual = walk_pixels(residual);
    operands->more_buffers.push_back(residual.ref.buffer);
  }
  const LaneTensor y = p.layouts.new_lanes(stretch.output);
  operands->tail->y = walk_pixels(y);
  operands->more_buffers.push_back(y.ref.buffer);
}

// Work is cut by positions first (each thread keeps its own pixels in its cache from layer to layer), then by
// output channels where there are too few tiles.
void partition(LaneLinearStep& step, const Workers& workers) {
  const int64_t tiles = ceil_div(step.positions.count(), step.tile);
  const int64_t worth = std::max<int64_t>(1, step.work_per_position * step.positions.count() / kChunkMultiplies);
  const int64_t most = std::min<int64_t>(workers.most_chunks(), worth);
  step.position_chunks = static_cast<int>(std::min(tiles, most));
  const int64_t most_by_rows = std::max<int64_t>(1, step.rows / std::max(kMinChunkRows, step.block_rows));
  step.unit_chunks = static_cast<int>(std::clamp<int64_t>(most / step.position_chunks, 1, most_by_rows));
  step.chunks = step.position_chunks * step.unit_chunks;
}

void partition(JitStep& step, const Workers& workers) {
  const int64_t multiplies = (step.code->nonzeros + kCodeRowEnd * step.rows) * step.positions.count();
  const int64_t most =
      workers.even_chunks(std::clamp<int64_t>(multiplies / kChunkCodeMultiplies, 1, workers.most_chunks()));
  step.position_chunks = static_cast<int>(
      workers.even_chunks(std::clamp<int64_t>(step.positions.count() / step.least_positions, 1, most)));
  step.unit_chunks =
      static_cast<int>(std::clamp<int64_t>(ceil_div(most, step.position_chunks), 1, step.code->blocks()));
  step.chunks = step.position_chunks * step.unit_chunks;
}

template <class S>
void add_step(std::unique_ptr<S> step, const char* kernel, const Stage& stage, const LayerOperands& operands,
              Planner& p) {
  S& layer = *step;
  const int y = operands.y.ref.buffer;
  layer.kernels = &p.emission.kernels();
  layer.positions = pixels_of(operands.y.geometry);
  layer.x = operands.x.first;
  layer.y = walk_pixels(operands.y);
  if (operands.addend) layer.residual = operands.addend->walk;
  if (!layer.post) layer.post = activation_of(stage.post);
  layer.tail = operands.tail;
  layer.rows = operands.shape.out_channels;
  layer.rows_per_vector = static_cast<int>(ceil_div(layer.rows, operands.y.vectors));
  partition(layer, p.emission.workers());
  p.buffers.set_by_channel(y, layer.position_chunks < layer.unit_chunks);
  p.emission.add(std::move(step), kernel,
                 {operands.x.tensor.ref.buffer, y, operands.addend ? operands.addend->tensor.ref.buffer : y});
  for (int buffer : operands.more_buffers) p.emission.also_uses({buffer, 0});
  if constexpr (requires { layer.finish_with; }) also_uses(layer.finish_with, p);
}

// fill: what a border of its input holds.
void form_of_layer(const Stage& stage, FillBits fill, Placement& placement) {
  const int in = stage.op.inputs[0];
  Placed& out = placement.at(stage.op.output);
  const LinearShape linear = *stage.op.layer();
  if (is_row_major(form_that_runs(stage, placement).form())) {
    if (has_pixels(stage, placement)) out.place_lanes(Axes::kImage);  // comes channels last
    return;
  }
  out.place_lanes(linear.axes);
  if (linear.axes != Axes::kImage) return;
  const WindowExtent extent = window_extent(linear.window, image_size(placement.shape(in)));
  placement.demand_window(in, out, linear.window, extent, fill);
}

void emit_layer(const Stage& stage, FillBits fill, Planner& p) {
  const PackedLayer& packed = form_that_runs(stage, p.placement);
  const auto add = [&](const auto& weights) {
    if constexpr (requires { make_step(weights, stage, LayerOperands{}, p); }) {
      LayerOperands operands;
      operands.shape = *stage.op.layer();
      operands.x = input_of(stage, operands.shape, fill, p);
      const Stretch& stretch = p.stretches.after(p.emission.stage());
      if (stretch.stages.empty()) {
        place_output(stage, &operands, p);
      } else {
        place_result(stage, stretch, &operands, p);
      }
      add_step(make_step(weights, stage, operands, p), packed.name(), stage, operands, p);
    } else {
      emit_few_rows(weights, packed.name(), stage, p);
    }
  };
  std::visit(add, packed.weights());
}

FillBits border_of(const QuantizedLinear& linear) { return fill_of_byte(linear.x.stored_zero_point()); }

}  // namespace

void form(const Linear&, const Stage& stage, Placement& placement) { form_of_layer(stage, fill_of(0.0f), placement); }
void emit(const Linear&, const Stage& stage, Planner& p) { emit_layer(stage, fill_of(0.0f), p); }

void form(const QuantizedLinear& linear, const Stage& stage, Placement& placement) {
  form_of_layer(stage, border_of(linear), placement);
}
void emit(const QuantizedLinear& linear, const Stage& stage, Planner& p) { emit_layer(stage, border_of(linear), p); }

}  // namespace sparsecpu
