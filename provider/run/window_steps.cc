#include "run/window_steps.h"

#include <algorithm>

namespace sparsecpu {

void PoolStep::pixels_covered(PositionRange::At at, float* pixels) const noexcept {
  for (int block_h = 0; block_h < geometry.lanes_h; ++block_h) {
    for (int block_w = 0; block_w < geometry.lanes_w; ++block_w) {
      const float covered = rows_covered[static_cast<size_t>(block_h * positions.rows + at.row)] *
                            columns_covered[static_cast<size_t>(block_w * positions.columns + at.column)];
      for (int image = 0; image < geometry.lanes_n; ++image) pixels[geometry.lane(image, block_h, block_w)] = covered;
    }
  }
}

void PoolStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(positions.count(), chunk, chunks);
  const float* sources[kMostPooledPixels];
  alignas(64) float pixels[kLanes] = {};
  for (int64_t i = share.begin; i < share.end; ++i) {
    const PositionRange::At at = positions.at(i);
    const float* in = frame.at(x.ref) + x.offset(at);
    for (size_t t = 0; t < taps.size(); ++t) sources[t] = in + taps[t];
    if (!rows_covered.empty()) pixels_covered(at, pixels);
    pool(sources, static_cast<int>(taps.size()), pixels, frame.at(y.ref) + y.offset(at));
  }
}

void AveragePoolStep::pool(const float* const* sources, int count, const float* pixels, float* out) const noexcept {
  alignas(64) float scale[kLanes];
  for (int l = 0; l < kLanes; ++l) scale[l] = pixels[l] > 0 ? 1.0f / pixels[l] : 0.0f;
  kernels->pool_average(sources, count, scale, out, vectors * kLanes);
}

void GlobalAverageStep::dequantize(const float* in, int64_t count, float* scratch) const noexcept {
  for (ptrdiff_t offset : offsets) {
    kernels->quantized->dequantize_lanes(from_bytes->parameters, in + offset, scratch, count);
    if (const auto& post = from_bytes->activation) {
      kernels->unary(post->kind, post->a, post->b, scratch, scratch, count * kLanes);
    }
    scratch += kChannelsOfBytes * kLanes;
  }
}

void GlobalAverageStep::run(int chunk, const Frame& frame) const noexcept {
  constexpr int64_t kMostChannels = 32;
  alignas(64) float sums[kMostChannels * kLanes];
  const int64_t at_once = from_bytes ? kChannelsOfBytes : kMostChannels, in_vector = from_bytes ? 4 : 1;
  const auto positions = static_cast<int64_t>(offsets.size());
  const Share share = share_of(x.vectors, chunk, chunks);
  const int64_t end_channel = std::min(share.end * in_vector, channels);
  float* scratch = nullptr;
  if (from_bytes) scratch = frame.at(from_bytes->scratch) + chunk * positions * kChannelsOfBytes * kLanes;
  for (int64_t group = 0; group < x.geometry.groups(); ++group) {
    const float* in = frame.at(x.ref) + group * x.group_stride();
    for (int64_t c = share.begin * in_vector; c < end_channel; c += at_once) {
      const int64_t end = std::min(end_channel, c + at_once);
      if (from_bytes) {
        dequantize(in + c / in_vector * kLanes, end - c, scratch);
        kernels->sum_positions(scratch, from_bytes->offsets.data(), masks.data(), positions, 0, end - c, sums);
      } else {
        kernels->sum_positions(in + c * kLanes, offsets.data(), masks.data(), positions, 0, end - c, sums);
      }
      average_images(sums, group, c, end, frame);
    }
  }
}

void GlobalAverageStep::average_images(const float* sums, int64_t group, int64_t begin, int64_t end,
                                       const Frame& frame) const noexcept {
  const Geometry& g = x.geometry;
  const int lanes_per_image = g.lanes_h * g.lanes_w;
  const auto pixels = static_cast<float>(std::max<int64_t>(1, g.h * g.w));  // of none: 0, as ReduceMean has it
  for (int64_t image = 0; image < g.lanes_n && group * g.lanes_n + image < g.n; ++image) {
    float* out = frame.at(y) + (group * g.lanes_n + image) * channels;
    for (int64_t k = begin; k < end; ++k) {
      const float* lanes = sums + (k - begin) * kLanes + image * lanes_per_image;
      float total = 0;
      for (int l = 0; l < lanes_per_image; ++l) total += lanes[l];
      out[k] = total / pixels;
    }
  }
}

}  // namespace sparsecpu
