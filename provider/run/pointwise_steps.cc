#include "run/pointwise_steps.h"

#include <cstring>

#include "base/memory.h"

namespace sparsecpu {

void LanePositionStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(positions.count(), chunk, chunks);
  const float* x_base = frame.at(x.ref);
  float* y_base = frame.at(y.ref);
  for (int64_t i = share.begin; i < share.end; ++i) {
    const PositionRange::At at = positions.at(i);
    compute(x_base + x.offset(at), y_base + y.offset(at), at, frame);
  }
}

void LaneBinaryStep::compute(const float* in, float* out, PositionRange::At at, const Frame& frame) const noexcept {
  const float* b = frame.at(second.ref) + second.offset(at);
  kernels->binary(kind, in, b, out, vectors * kLanes);
  if (post) kernels->unary(post->kind, post->a, post->b, out, out, vectors * kLanes);
}

void LaneCopyStep::compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept {
  std::memcpy(out, in, static_cast<size_t>(vectors) * kLanes * sizeof(float));
}

void FlatStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(ceil_div(count, kLanes), chunk, chunks);
  const int64_t first = share.begin * kLanes;
  const int64_t n = (share.end * kLanes < count ? share.end * kLanes : count) - first;
  const float* in = frame.at(x) + first;
  float* out = frame.at(y) + first;
  if (what == Kind::kBinary) {
    kernels->binary(binary, in, frame.at(second) + first, out, n);
    in = out;
  }
  if (function) kernels->unary(function->kind, function->a, function->b, in, out, n);
}

}  // namespace sparsecpu
