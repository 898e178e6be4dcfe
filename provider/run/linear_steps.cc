#include "run/linear_steps.h"

#include <algorithm>

namespace sparsecpu {

void LaneLinearStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(positions.count(), chunk / block_chunks, position_chunks);
  const Share block = share_of(blocks, chunk % block_chunks, block_chunks);
  for (int64_t first = share.begin; first < share.end; first += tile) {
    const LaneTile now = tile_at(first, share.end, frame);
    compute(block.begin, block.end, now);
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
