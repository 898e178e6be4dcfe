#include "run/linear_steps.h"

#include <algorithm>

#include "base/memory.h"

namespace sparsecpu {

void LaneLinearStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(positions.count(), chunk / block_chunks, position_chunks);
  const Share block = share_of(blocks, chunk % block_chunks, block_chunks);
  for (int64_t first = share.begin; first < share.end; first += tile) {
    const LaneTile now = tile_at(first, share.end, frame);
    compute(block.begin, block.end, now, frame);
    if (post) finish(block.begin, block.end, now);
  }
}

LaneTile LaneLinearStep::tile_at(int64_t first, int64_t end, const Frame& frame) const noexcept {
  LaneTile now;
  now.positions = static_cast<int>(std::min<int64_t>(tile, end - first));
  const float* x_base = frame.at(x.ref);
  float* y_base = frame.at(y.ref);
  PositionRange::At at = positions.at(first);
  for (int p = 0; p < now.positions; ++p) {
    now.x[p] = x_base + x.offset(at.group, at.row, at.column);
    now.y[p] = y_base + y.offset(at.group, at.row, at.column);
    if (residual) now.residual[p] = frame.at(residual->ref) + residual->offset(at.group, at.row, at.column);
    if (++at.column == positions.columns) {
      at.column = 0;
      if (++at.row == positions.rows) at.row = 0, ++at.group;
    }
  }
  return now;
}

void LaneLinearStep::finish(int64_t block_begin, int64_t block_end, const LaneTile& now) const noexcept {
  const int64_t first = block_begin * block_rows;
  const int64_t count = std::min(block_end * block_rows, rows) - first;
  for (int p = 0; p < now.positions; ++p) {
    float* y_row = now.y[p] + first * kLanes;
    kernels->unary(post->kind, post->a, post->b, y_row, y_row, count * kLanes);
  }
}

void JitStep::gather(int64_t first, int64_t end, const Frame& frame, Tile* now) const noexcept {
  now->positions = static_cast<int>(std::min<int64_t>(tile, end - first));
  const float* x_base = frame.at(x.ref);
  float* y_base = frame.at(y.ref);
  const float* residual_base = residual ? frame.at(residual->ref) : nullptr;
  for (int p = 0; p < now->positions; ++p) {
    const PositionRange::At at = positions.at(first + p);
    now->x[p] = x_base + x.offset(at.group, at.row, at.column);
    now->y[p] = y_base + y.offset(at.group, at.row, at.column);
    now->residual[p] = residual ? residual_base + residual->offset(at.group, at.row, at.column) : nullptr;
  }
}

int64_t JitStep::first_row(uint32_t block) const {
  const uint32_t segment = code->block_begin[block];
  return segment < code->segments.size() ? code->segments[segment].first_row : rows;
}

// The next segment's memory is brought in meanwhile: each call fetches its share, then nothing new.
void JitStep::run_segment(uint32_t s, const Tile& now, float* const* out, const float* const* addend) const noexcept {
  const JitSegment& segment = code->segments[s];
  const bool is_last = s + 1 == code->segments.size();
  const auto* hot = reinterpret_cast<const std::byte*>(segment.run);
  const auto* ahead = is_last ? hot : reinterpret_cast<const std::byte*>(code->segments[s + 1].run);
  const size_t step = static_cast<size_t>(code->prefetch_lines) * kCacheLine;
  const size_t most = is_last ? 0 : code->segments[s + 1].bytes;
  size_t at = 0;
  for (int p = 0; p < now.positions; ++p, at += step) {
    segment.run(now.x[p], out[p], addend[p], row_base.data(), at < most ? ahead + at : hot);
  }
}

void FloatJitStep::run_block(uint32_t block, const Tile& now, const Frame&) const noexcept {
  float* out[kMaxPositions];
  const float* addend[kMaxPositions];
  const int64_t row = first_row(block) * kLanes;
  for (int p = 0; p < now.positions; ++p) {
    out[p] = now.y[p] + row;
    addend[p] = now.residual[p] != nullptr ? now.residual[p] + row : nullptr;
  }
  for (uint32_t s = code->block_begin[block]; s < code->block_begin[block + 1]; ++s) run_segment(s, now, out, addend);
}

void JitStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(positions.count(), chunk / block_chunks, position_chunks);
  const Share blocks = share_of(code->blocks(), chunk % block_chunks, block_chunks);
  const auto begin = static_cast<uint32_t>(blocks.begin), end = static_cast<uint32_t>(blocks.end);
  Tile now;
  for (int64_t first = share.begin; first < share.end; first += tile) {
    gather(first, share.end, frame, &now);
    for (uint32_t b = begin; b < end; ++b) run_block(b, now, frame);
    if (!post) continue;
    for (int p = 0; p < now.positions; ++p) {
      float* out = now.y[p] + first_row(begin) * kLanes;
      kernels->unary(post->kind, post->a, post->b, out, out, (first_row(end) - first_row(begin)) * kLanes);
    }
  }
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
