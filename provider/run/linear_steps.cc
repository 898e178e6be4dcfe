#include "run/linear_steps.h"

#include <algorithm>

#include "base/memory.h"

namespace sparsecpu {

void LaneLinearStep::compute_tile(Share share, Share units, const Frame& frame) const noexcept {
  LaneTile now;
  now.positions = static_cast<int>(share.end - share.begin);
  place(share.begin, frame, &now);
  multiply(units.begin, units.end, now, frame);
}

int64_t JitStep::first_row(int64_t block) const {
  const uint32_t segment = code->block_begin[static_cast<size_t>(block)];
  return segment < code->segments.size() ? code->segments[segment].first_row : rows;
}

void JitStep::prefetch(int chunk) const noexcept {
  const Share blocks = units_of(chunk);
  if (blocks.begin == blocks.end) return;
  const JitSegment& segment = code->segments[code->block_begin[static_cast<size_t>(blocks.begin)]];
  bring(segment, 0, segment.bytes);
}

void FloatJitStep::run_blocks(Share blocks, const Tile& now, const Frame&) const noexcept {
  const auto begin = static_cast<size_t>(blocks.begin), end = static_cast<size_t>(blocks.end);
  code->visit_segments(begin, end, part_by_part, [&](size_t s, size_t next) {
    float* out[kMaxPositions];
    const float* addend[kMaxPositions];
    const int64_t row = code->segments[s].first_row * kLanes;
    for (int p = 0; p < now.positions; ++p) {
      out[p] = now.y[p] + row;
      addend[p] = now.residual[p] != nullptr ? now.residual[p] + row : nullptr;
    }
    run_segment(s, next, now, out, addend, [](int) { return nullptr; });
  });
}

void JitStep::Tile::reverse() {
  std::reverse(x, x + positions);
  std::reverse(y, y + positions);
  std::reverse(residual, residual + positions);
}

void JitStep::compute_tile(Share share, Share units, const Frame& frame) const noexcept {
  Tile now;
  now.positions = static_cast<int>(share.end - share.begin);
  place(share.begin, frame, &now);
  if (2 * share.end <= positions.count() + 1) now.reverse();
  run_blocks(units, now, frame);
}

void FewRowsStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(weights->rows, chunk, chunks);
  FewRowsArgs args;
  args.m = m;
  args.x = frame.at(x);
  args.x_stride = weights->k;
  args.y = frame.at(y);
  args.y_stride = weights->rows;
  if (residual) args.residual = frame.at(*residual);
  args.residual_stride = weights->rows;
  args.clamp = clamp;
  kernels->few_rows(*weights, share.begin, share.end, args);
  if (!post) return;
  for (int64_t i = 0; i < m; ++i) {
    float* row = args.y + i * args.y_stride + share.begin;
    kernels->unary(post->kind, post->a, post->b, row, row, share.end - share.begin);
  }
}

}  // namespace sparsecpu
