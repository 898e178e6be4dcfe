#include "run/byte_steps.h"

#include <algorithm>
#include <cstring>

#include "base/memory.h"
#include "base/quantization.h"

namespace sparsecpu {
namespace {

constexpr int64_t kVectorBytes = kLanes * 4;

}  // namespace

void LaneQuantizeStep::compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept {
  if (dequantize) {
    kernels->quantized->dequantize_lanes(parameters, in, out, channels);
  } else {
    kernels->quantized->quantize_lanes(parameters, in, out, channels);
  }
}

void LaneLookupStep::compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept {
  kernels->quantized->lookup(table.data(), bytes_of(in), bytes_of(out), vectors * kVectorBytes);
}

void LaneByteBinaryStep::compute(const float* in, float* out, PositionRange::At at, const Frame& frame) const noexcept {
  const float* b = frame.at(second.ref) + second.offset(at);
  const auto call = multiply ? kernels->quantized->multiply : kernels->quantized->add;
  call(function, bytes_of(in), bytes_of(b), bytes_of(out), vectors * kVectorBytes);
  if (table) kernels->quantized->lookup(table->data(), bytes_of(out), bytes_of(out), vectors * kVectorBytes);
}

void LaneByteCopyStep::compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept {
  kernels->quantized->copy_channels(in, x_first, out, y_first, channels);
}

void FlatByteStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(ceil_div(count, kVectorBytes), chunk, chunks);
  const int64_t first = share.begin * kVectorBytes;
  const int64_t n = std::min(share.end * kVectorBytes, count) - first;
  switch (what) {
    case Kind::kCopy:
      std::memcpy(bytes_of(frame.at(y)) + first, bytes_of(frame.at(x)) + first, static_cast<size_t>(n));
      break;
    case Kind::kQuantize:
      kernels->quantized->quantize(parameters, sign, frame.at(x) + first, bytes_of(frame.at(y)) + first, n);
      break;
    case Kind::kDequantize:
      kernels->quantized->dequantize(parameters, sign, bytes_of(frame.at(x)) + first, frame.at(y) + first, n);
      break;
    case Kind::kLookup:
      kernels->quantized->lookup(table.data(), bytes_of(frame.at(x)) + first, bytes_of(frame.at(y)) + first, n);
      break;
  }
}

void MinMaxStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(ceil_div(count, kLanes), chunk, chunks);
  const int64_t first = share.begin * kLanes;
  float least = 0, most = 0;  // DynamicQuantizeLinear's range includes zero
  kernels->quantized->min_max(frame.at(x) + first, std::min(share.end * kLanes, count) - first, &least, &most);
  frame.at(partial)[2 * chunk] = least;
  frame.at(partial)[2 * chunk + 1] = most;
}

void DynamicQuantizeStep::run(int chunk, const Frame& frame) const noexcept {
  float least = 0, most = 0;
  for (int i = 0; i < partials; ++i) {
    least = std::min(least, frame.at(partial)[2 * i]);
    most = std::max(most, frame.at(partial)[2 * i + 1]);
  }
  const Quantization q = dynamic_quantization(least, most);
  if (chunk == 0) {
    frame.at(quantization)[0] = q.scale;
    frame.at(quantization)[1] = static_cast<float>(q.zero_point);
  }
  const Share share = share_of(ceil_div(count, kLanes), chunk, chunks);
  const int64_t first = share.begin * kLanes;
  kernels->quantized->quantize({q.scale, q.zero_point}, 0, frame.at(x) + first, bytes_of(frame.at(y)) + first,
                               std::min(share.end * kLanes, count) - first);
}

void DynamicScaleStep::run(int, const Frame& frame) const noexcept {
  const float scale = frame.at(quantization)[0];
  const auto zero_point = static_cast<int32_t>(frame.at(quantization)[1]);
  auto* bias_out = reinterpret_cast<int32_t*>(frame.at(run_bias));
  for (int64_t r = 0; r < rows; ++r) {
    frame.at(run_multiplier)[r] = scale * multiplier[r];
    bias_out[r] = bias[r] - zero_point * row_sum[r];
  }
}

}  // namespace sparsecpu
