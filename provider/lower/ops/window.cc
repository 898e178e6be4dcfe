#include "lower/ops/window.h"

#include "base/quantization.h"
#include "lower/parameters.h"
#include "lower/planner.h"
#include "ops/dims.h"
#include "run/quantized_steps.h"
#include "run/window_steps.h"

namespace sparsecpu {
namespace {

// Around a pooled image: what no maximum takes, or what adds nothing to a sum. Bytes are stored unsigned.
FillBits pool_fill(const Pool& pool, ElementType type) {
  if (pool.bytes) return fill_of_byte(pool.bytes->x.stored_zero_point());
  if (is_bytes(type)) return fill_of_byte(0);
  return fill_of(pool.kind == PoolKind::kMax ? std::numeric_limits<float>::lowest() : 0.0f);  // as onnxruntime begins
}

// What counts of the window along one axis, for each output index.
std::vector<float> pixels_covered(const Pool& pool, size_t axis, int64_t size, const WindowExtent& extent,
                                  int64_t outputs) {
  std::vector<float> counts;
  const int64_t before = extent.pads[axis], after = extent.pads[axis + 2];
  const bool padded = pool.divisor == PoolDivisor::kPaddedPixels, all = pool.divisor == PoolDivisor::kTaps;
  const int64_t low = padded ? -before : 0, high = padded ? size + after : size;
  for (int64_t o = 0; o < outputs; ++o) {
    int64_t n = 0;
    for (int64_t k = 0; k < pool.window.kernel[axis]; ++k) {
      const int64_t pixel = o * pool.window.stride[axis] - before + k * pool.window.dilation[axis];
      n += all || (pixel >= low && pixel < high);
    }
    counts.push_back(static_cast<float>(n));
  }
  return counts;
}

std::unique_ptr<PoolStep> step_of(const Pool& pool, bool bytes) {
  if (pool.bytes) {
    auto average = std::make_unique<ByteAveragePoolStep>();
    average->from = parameters_of(pool.bytes->x);
    average->to = parameters_of(pool.bytes->y);
    average->sign = pool.bytes->y.is_signed ? 0x80 : 0;
    return average;
  }
  if (bytes) return std::make_unique<ByteMaxPoolStep>();
  if (pool.kind == PoolKind::kAverage) return std::make_unique<AveragePoolStep>();
  return std::make_unique<MaxPoolStep>();
}

// The positions of a batch group that hold pixels, and the lanes that do there.
void pixel_masks(const LaneTensor& x, std::vector<ptrdiff_t>* offsets, std::vector<uint16_t>* masks) {
  const Geometry& g = x.geometry;
  for (int64_t r = 0; r < g.step_h; ++r) {
    for (int64_t c = 0; c < g.step_w; ++c) {
      masks->push_back(pixel_lanes(g, r, c));
      offsets->push_back((r - g.origin_h) * x.row_stride() + (c - g.origin_w) * x.position_stride);
    }
  }
}

void average_from_bytes(const Stage::FromBytes& how, GlobalAverageStep* step, Planner& p) {
  constexpr int64_t kPositionFloats = GlobalAverageStep::kChannelsOfBytes * kLanes;
  const auto positions = static_cast<int64_t>(step->offsets.size());
  GlobalAverageStep::FromBytes& from = step->from_bytes.emplace();
  from.parameters = parameters_of(how.x);
  from.activation = activation_of(how.activation);
  from.scratch = {p.buffers.add(step->chunks * positions * kPositionFloats, sizeof(float)), 0};
  p.emission.also_uses(from.scratch);
  for (int64_t position = 0; position < positions; ++position) from.offsets.push_back(position * kPositionFloats);
}

}  // namespace

void form(const Pool& pool, const Stage& stage, Placement& placement) {
  const int in = stage.op.inputs[0];
  Placed& out = placement.at(stage.op.output);
  out.place_lanes(Axes::kImage);
  const WindowExtent extent = window_extent(pool.window, image_size(placement.shape(in)));
  placement.demand_window(in, out, pool.window, extent, pool_fill(pool, placement.at(in).type));
}

void emit(const Pool& pool, const Stage& stage, Planner& p) {
  const int in = stage.op.inputs[0];
  const Placed& out = p.placement.at(stage.op.output);
  const ImageSize size = image_size(p.placement.shape(in));
  const WindowExtent extent = window_extent(pool.window, size);
  const WindowInput x = p.layouts.window_of(in, out, pool.window, extent, pool_fill(pool, p.placement.at(in).type));
  const LaneTensor y = p.layouts.new_lanes(stage.op.output);
  std::unique_ptr<PoolStep> step = step_of(pool, p.placement.is_bytes(in));
  const bool average = pool.kind == PoolKind::kAverage;
  step->kernels = &p.emission.kernels();
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
    step->rows_covered = pixels_covered(pool, 0, size[0], extent, out.blocks.lanes_h * out.blocks.step_h);
    step->columns_covered = pixels_covered(pool, 1, size[1], extent, out.blocks.lanes_w * out.blocks.step_w);
  }
  const char* kernel = average ? "average pool" : "max pool";
  PoolStep& s = p.emission.add(std::move(step), kernel, {x.tensor.ref.buffer, y.ref.buffer});
  const auto taps = static_cast<int64_t>(s.taps.size());
  s.chunks = p.emission.workers().chunks_for(s.positions.count(), y.vectors * kLanes * taps);
}

void form(const GlobalAverage&, const Stage&, Placement&) {}  // row-major

void emit(const GlobalAverage& average, const Stage& stage, Planner& p) {
  const int in = stage.op.inputs[0];
  const Placed& image = p.placement.at(in);
  const LaneTensor x = p.layouts.image_of(in);
  if (average.bytes && x.geometry.positions() == 0) {
    throw Error("node '" + stage.op.name + "': an average over an image of shape " + dims_text(image.shape) +
                ", which has no pixels");
  }
  const TensorRef y = p.layouts.new_dense(stage.op.output);
  const auto finish = [&](auto step) {
    step->kernels = &p.emission.kernels();
    step->x = x;
    step->y = y;
    step->channels = image.channels(Axes::kImage);
    pixel_masks(x, &step->offsets, &step->masks);
    auto& s = p.emission.add(std::move(step), "global average", {x.ref.buffer, y.buffer});
    const int64_t floats = 16 * kLanes * x.geometry.positions() * x.geometry.groups();
    s.chunks = p.emission.workers().chunks_for(ceil_div(x.vectors, 16), floats);
    return &s;
  };
  if (!average.bytes) {
    GlobalAverageStep* added = finish(std::make_unique<GlobalAverageStep>());
    if (stage.from_bytes) average_from_bytes(*stage.from_bytes, added, p);
    return;
  }
  auto step = std::make_unique<ByteGlobalAverageStep>();
  const Quantization& from = average.bytes->x;
  const Quantization& to = average.bytes->y;
  step->x_zero_point = from.stored_zero_point();
  step->y_zero_point = to.stored_zero_point();
  step->y_sign = to.is_signed ? 0x80 : 0;
  step->multiplier = global_average_multiplier(from.scale, to.scale, x.geometry.h * x.geometry.w);
  finish(std::move(step));
}

}  // namespace sparsecpu
