#include "run/pointwise_steps.h"

#include <algorithm>
#include <cstring>

#include "base/memory.h"
#include "pack/speeds.h"

namespace sparsecpu {
namespace {

// One function from x to y. at: where an operand of it lies; by_channel: what computes one with numbers for channels.
template <class At, class ByChannel>
struct Apply {
  const KernelTable& kernels;
  const float* x;
  float* y;
  int64_t count;
  At at;
  ByChannel by_channel;

  void operator()(const Activation& f) const { kernels.unary(f.kind, f.a, f.b, x, y, count); }
  void operator()(const ScaleAndShift& f) const { by_channel(f); }
  void operator()(const Slopes& f) const { by_channel(f); }
  template <class Place>
  void operator()(const WithOperand<Place>& f) const {
    const float* other = at(f.operand);
    kernels.binary(f.kind, f.operand_first ? other : x, f.operand_first ? x : other, y, count);
  }
};
template <class At, class ByChannel>
Apply(const KernelTable&, const float*, float*, int64_t, At, ByChannel) -> Apply<At, ByChannel>;

}  // namespace

void LanePositionStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(positions.count(), chunk, chunks);
  const float* x_base = frame.at(x.ref);
  float* y_base = frame.at(y.ref);
  for (int64_t i = share.begin; i < share.end; ++i) {
    const PositionRange::At at = positions.at(i);
    compute(x_base + x.offset(at), y_base + y.offset(at), at, frame);
  }
}

void LaneCopyStep::compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept {
  std::memcpy(out, in, static_cast<size_t>(vectors) * kLanes * sizeof(float));
}

// NOLINTNEXTLINE(bugprone-exception-escape): a variant that is never without a value
void LaneElementwiseStep::compute(const float* in, float* out, PositionRange::At at,
                                  const Frame& frame) const noexcept {
  for (int64_t first = 0; first < vectors; first += kFunctionFloats / kLanes) {
    const int64_t count = std::min(vectors - first, kFunctionFloats / kLanes);
    const float* x = in + first * kLanes;
    float* y = out + first * kLanes;
    for (const Function& function : functions) {
      std::visit(Apply{
                     *kernels,
                     x,
                     y,
                     count * kLanes,
                     [&](const Walk& walk) { return frame.at(walk.ref) + walk.offset(at) + first * kLanes; },
                     [&]<class F>(const F& f) {
                       if constexpr (std::is_same_v<F, Slopes>)
                         kernels->prelu(f.slope.data() + first, x, y, count);
                       else
                         kernels->affine(f.scale.data() + first, f.shift.data() + first, x, y, count);
                     },
                 },
                 function);
      x = y;
    }
  }
}

// NOLINTNEXTLINE(bugprone-exception-escape): a variant that is never without a value
void FlatStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(ceil_div(count, kLanes), chunk, chunks);
  const int64_t end = std::min(share.end * kLanes, count);
  for (int64_t first = share.begin * kLanes; first < end; first += kFunctionFloats) {
    const int64_t floats = std::min(end - first, kFunctionFloats);
    const float* in = frame.at(x) + first;
    float* out = frame.at(y) + first;
    for (const Function& function : functions) {
      std::visit(Apply{
                     *kernels,
                     in,
                     out,
                     floats,
                     [&](TensorRef operand) { return frame.at(operand) + first; },
                     [&](const ScaleAndShift& f) {
                       for (int64_t i = 0; i < floats; ++i) out[i] = in[i] * f.scale[0] + f.shift[0];
                     },
                 },
                 function);
      in = out;
    }
  }
}

}  // namespace sparsecpu
