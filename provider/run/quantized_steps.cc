#include "run/quantized_steps.h"

#include <algorithm>

#include "base/memory.h"

namespace sparsecpu {

JitFinish QJitStep::finish_of(const QuantizedOutput& output, uint32_t block) const noexcept {
  JitFinish finish;
  finish.set_zero_point(output.zero_point);
  finish.lookup = output.lookup;
  finish.routine = packed->code.base + (finishes ? packed->finish : packed->store)[block];
  finish.bias = output.bias + first_row(block);
  finish.multiplier = output.multiplier + first_row(block);
  if (output.sum != nullptr) {
    finish.a_ratio = output.sum->a_ratio;
    finish.b_ratio = output.sum->b_ratio;
    finish.shift = output.sum->shift;
  }
  return finish;
}

void QJitStep::run_blocks(Share blocks, const Tile& now, const Frame& frame) const noexcept {
  for (int64_t b = blocks.begin; b < blocks.end; ++b) run_block(static_cast<uint32_t>(b), now, frame);
}

void QJitStep::run_block(uint32_t block, const Tile& now, const Frame& frame) const noexcept {
  alignas(64) float sums[kMaxTile][kJitRows * kLanes];
  float* out[kMaxTile];
  const float* residual[kMaxTile];
  const int64_t first = first_row(block), vector = first / 4 * kLanes;
  for (int p = 0; p < now.positions; ++p) {
    out[p] = sums[p];
    residual[p] = now.residual[p] != nullptr ? now.residual[p] + vector : nullptr;
  }
  const QuantizedOutput output = finish_with.at(frame);
  JitFinish finish = finish_of(output, block);
  for (uint32_t s = code->block_begin[block]; s < code->block_begin[block + 1]; ++s) {
    run_segment(s, s + 1, now, out, residual, [&](int p) {
      finish.y = now.y[p] + vector;
      return &finish;
    });
  }
  for (int p = 0; p < now.positions; ++p) {
    if (!finishes) {
      kernels->quantized->finish(reinterpret_cast<const int32_t*>(sums[p]), first, first_row(block + 1), output,
                                 now.y[p], now.residual[p]);
    } else if (output.lookup != nullptr && !packed->form.lookup) {
      auto* bytes = reinterpret_cast<uint8_t*>(now.y[p] + vector);
      kernels->quantized->lookup(output.lookup, bytes, bytes, round_up(first_row(block + 1) - first, 4) * kLanes);
    }
  }
}

void QFewRowsStep::run(int chunk, const Frame& frame) const noexcept {
  // Whole blocks of rows: the kernel may store four bytes at once.
  const Share blocks = share_of(ceil_div(weights->rows, kQuantizedRows), chunk, chunks);
  const int64_t begin = blocks.begin * kQuantizedRows, end = std::min(blocks.end * kQuantizedRows, weights->rows);
  QFewRowsArgs args;
  args.m = m;
  args.x = reinterpret_cast<const uint8_t*>(frame.at(x));
  args.x_stride = weights->k;
  args.y = frame.at(y);
  args.y_stride = weights->rows;
  if (residual) args.residual = reinterpret_cast<const uint8_t*>(frame.at(*residual));
  args.residual_stride = residual_stride;
  args.output = finish_with.at(frame);
  kernels->quantized->few_rows(*weights, begin, end, args);
  if (!post) return;
  for (int64_t i = 0; i < m; ++i) {
    float* row = frame.at(y) + i * args.y_stride + begin;
    kernels->unary(post->kind, post->a, post->b, row, row, end - begin);
  }
}

void ByteGlobalAverageStep::run(int chunk, const Frame& frame) const noexcept {
  constexpr int64_t kVectorsAtOnce = 8;
  alignas(64) int32_t sums[kVectorsAtOnce * 4 * kLanes];
  int32_t totals[kVectorsAtOnce * 4];
  const Geometry& g = x.geometry;
  const int lanes_per_image = g.lanes_h * g.lanes_w;
  const auto offset = static_cast<int32_t>(g.h * g.w * x_zero_point);
  const Share share = share_of(x.vectors, chunk, chunks);
  for (int64_t group = 0; group < g.groups(); ++group) {
    const float* in = frame.at(x.ref) + group * x.group_stride();
    for (int64_t v = share.begin; v < share.end; v += kVectorsAtOnce) {
      const int64_t n = std::min(share.end - v, kVectorsAtOnce);
      const int64_t count = std::min(4 * n, channels - 4 * v);
      kernels->quantized->sum_positions(in + v * kLanes, offsets.data(), masks.data(),
                                        static_cast<int64_t>(offsets.size()), 0, n, sums);
      for (int64_t image = 0; image < g.lanes_n && group * g.lanes_n + image < g.n; ++image) {
        for (int64_t c = 0; c < count; ++c) {
          const int32_t* lanes = sums + c * kLanes + image * lanes_per_image;
          totals[c] = -offset;
          for (int l = 0; l < lanes_per_image; ++l) totals[c] += lanes[l];
        }
        auto* out = reinterpret_cast<uint8_t*>(frame.at(y)) + (group * g.lanes_n + image) * channels + 4 * v;
        kernels->quantized->requantize(multiplier, y_zero_point, y_sign, totals, out, count);
      }
    }
  }
}

}  // namespace sparsecpu
