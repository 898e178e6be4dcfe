#include "run/layout_steps.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/memory.h"

namespace sparsecpu {
namespace {

// What lies around an image of bytes: what the plan says, or this run's zero point.
uint32_t border_of(const std::optional<TensorRef>& quantization, uint32_t fill, const Frame& frame) {
  return quantization ? static_cast<uint32_t>(frame.at(*quantization)[1]) * 0x01010101u : fill;
}

// call(transfer, channels) for the share of the plan's rows, segments and units of `outer` channels.
template <class F>
void for_each_transfer(const TransferPlan& plan, int64_t outer, Share share, F call) {
  for (int64_t unit = share.begin; unit < share.end;) {
    const int64_t row = unit / outer, first = unit % outer;
    const int64_t end = std::min(outer, first + share.end - unit);
    call(plan.at(row / plan.segments(), row % plan.segments()), Share{first, end});
    unit += end - first;
  }
}

LaneRows lane_rows(const TransferPlan& plan, const RowTransfer& t, int64_t channels) {
  return {t.length, t.count, plan.lane_stride(), channels, plan.tensor_outer_stride(), plan.lane_outer_stride()};
}

// call(group, quads) for the share of the groups' quads of channels, as many at once as there is scratch memory for.
template <class F>
void for_each_group(const TransferPlan& pixels, Share share, F call) {
  const int64_t most = TransferPlan::kScratchPixels / pixels.tensor_outer_stride();
  for (int64_t unit = share.begin; unit < share.end;) {
    const int64_t group = unit / pixels.outer(), first = unit % pixels.outer();
    const int64_t end = std::min({pixels.outer(), first + share.end - unit, first + most});
    call(group, Share{first, end});
    unit += end - first;
  }
}

// call(planes, pixels, quad) for every image of the group.
template <class T, class F>
void for_each_image(const TransferPlan& plan, const TransferPlan& pixels, int64_t group, Share quads, T* tensor,
                    float* scratch, F call) {
  T* planes = tensor + group * plan.tensor_group_stride();
  for (int64_t quad = quads.begin; quad < quads.end; ++quad) {
    for (int64_t image = 0; image < plan.group_images(group); ++image) {
      call(planes + image * plan.tensor_image_stride() + 4 * quad * plan.tensor_outer_stride(),
           scratch + (quad - quads.begin) * pixels.tensor_outer_stride() + image * pixels.tensor_image_stride(), quad);
    }
  }
}

// call(transfer, rows) for every row and segment of the group, with the pointers of its rows.
template <class F>
void for_each_row(const TransferPlan& pixels, int64_t group, float* scratch, F call) {
  for (int64_t row = group * pixels.group_rows(); row < (group + 1) * pixels.group_rows(); ++row) {
    for (int64_t segment = 0; segment < pixels.segments(); ++segment) {
      const RowTransfer t = pixels.at(row, segment);
      float* rows[kLanes];
      row_pointers(t, scratch, rows);
      call(t, rows);
    }
  }
}

}  // namespace

int64_t TransferStep::units() const { return plan.rows() * plan.segments() * plan.outer(); }

void ImportStep::run(int chunk, const Frame& frame) const noexcept {
  const float* source = frame.at(tensor);
  float* target = frame.at(lanes);
  for_each_transfer(plan, plan.outer(), share_of(units(), chunk, chunks), [&](const RowTransfer& t, Share channels) {
    const float* rows[kLanes];
    row_pointers(t, source + t.tensor_offset + channels.begin * plan.tensor_outer_stride(), rows);
    kernels->load_rows(lane_rows(plan, t, channels.end - channels.begin), rows, fill,
                       target + t.lane_offset + channels.begin * plan.lane_outer_stride());
  });
}

void ExportStep::run(int chunk, const Frame& frame) const noexcept {
  const float* source = frame.at(lanes);
  float* target = frame.at(tensor);
  for_each_transfer(plan, plan.outer(), share_of(units(), chunk, chunks), [&](const RowTransfer& t, Share channels) {
    float* rows[kLanes];
    row_pointers(t, target + t.tensor_offset + channels.begin * plan.tensor_outer_stride(), rows);
    kernels->store_rows(lane_rows(plan, t, channels.end - channels.begin),
                        source + t.lane_offset + channels.begin * plan.lane_outer_stride(), rows);
  });
}

int64_t ByteTransferStep::units() const {
  if (pixels) return pixels->groups() * pixels->outer();
  return plan.rows() * plan.segments() * ceil_div(plan.outer(), 4);
}

ByteRows ByteTransferStep::planes_of(int64_t quad, uint32_t fill) const {
  return {sign, fill, static_cast<int>(std::min<int64_t>(4, plan.outer() - 4 * quad)), plan.tensor_outer_stride()};
}

void ByteImportStep::run(int chunk, const Frame& frame) const noexcept {
  const uint8_t* source = bytes_of(frame.at(tensor));
  float* target = frame.at(lanes);
  const uint32_t border = border_of(quantization, fill, frame);
  const Share share = share_of(units(), chunk, chunks);
  if (pixels) return import_pixels(share, border, source, target);
  for_each_transfer(plan, ceil_div(plan.outer(), 4), share, [&](const RowTransfer& t, Share quads) {
    const uint8_t* rows[kLanes];
    if (plan.along_channels()) {
      row_pointers(t, source + t.tensor_offset, rows);
      kernels->quantized->load_channels({sign, border, 4, 0}, rows, t.length, t.count, target + t.lane_offset, kLanes);
      return;
    }
    for (int64_t quad = quads.begin; quad < quads.end; ++quad) {
      row_pointers(t, source + t.tensor_offset + 4 * quad * plan.tensor_outer_stride(), rows);
      kernels->quantized->load_planes(planes_of(quad, border), rows, t.length, t.count,
                                      target + t.lane_offset + quad * kLanes, plan.lane_stride());
    }
  });
}

void ByteImportStep::import_pixels(Share units, uint32_t border, const uint8_t* source, float* target) const noexcept {
  alignas(kCacheLine) float scratch[TransferPlan::kScratchPixels];
  for_each_group(*pixels, units, [&](int64_t group, Share quads) {
    for_each_image(plan, *pixels, group, quads, source, scratch, [&](const uint8_t* planes, float* to, int64_t quad) {
      kernels->quantized->interleave_planes(planes_of(quad, border), planes, plan.image_pixels(), to);
    });
    for_each_row(*pixels, group, scratch, [&](const RowTransfer& t, float* const* rows) {
      kernels->load_rows(lane_rows(*pixels, t, quads.end - quads.begin), rows, std::bit_cast<float>(border),
                         target + t.lane_offset + quads.begin * kLanes);
    });
  });
}

void ByteExportStep::run(int chunk, const Frame& frame) const noexcept {
  const float* source = frame.at(lanes);
  uint8_t* target = bytes_of(frame.at(tensor));
  const Share share = share_of(units(), chunk, chunks);
  if (pixels) return export_pixels(share, source, target);
  for_each_transfer(plan, ceil_div(plan.outer(), 4), share, [&](const RowTransfer& t, Share quads) {
    uint8_t* rows[kLanes];
    if (plan.along_channels()) {
      row_pointers(t, target + t.tensor_offset, rows);
      kernels->quantized->store_channels({sign, 0, 4, 0}, source + t.lane_offset, kLanes, t.count, rows, t.length);
      return;
    }
    for (int64_t quad = quads.begin; quad < quads.end; ++quad) {
      row_pointers(t, target + t.tensor_offset + 4 * quad * plan.tensor_outer_stride(), rows);
      kernels->quantized->store_planes(planes_of(quad, 0), source + t.lane_offset + quad * kLanes, plan.lane_stride(),
                                       t.count, rows, t.length);
    }
  });
}

void ByteExportStep::export_pixels(Share units, const float* source, uint8_t* target) const noexcept {
  alignas(kCacheLine) float scratch[TransferPlan::kScratchPixels];
  for_each_group(*pixels, units, [&](int64_t group, Share quads) {
    for_each_row(*pixels, group, scratch, [&](const RowTransfer& t, float* const* rows) {
      kernels->store_rows(lane_rows(*pixels, t, quads.end - quads.begin), source + t.lane_offset + quads.begin * kLanes,
                          rows);
    });
    for_each_image(plan, *pixels, group, quads, target, scratch, [&](uint8_t* planes, const float* from, int64_t quad) {
      kernels->quantized->separate_planes(planes_of(quad, 0), from, plan.image_pixels(), planes);
    });
  });
}

std::vector<int64_t> broadcast_steps(const std::vector<int64_t>& shape, size_t rank) {
  std::vector<int64_t> steps(rank, 0);
  int64_t step = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t size = shape[shape.size() - 1 - i];
    if (size != 1) steps[rank - 1 - i] = step;
    step *= size;
  }
  return steps;
}

RepeatStep::RepeatStep(const std::vector<int64_t>& to, const std::vector<int64_t>& from, int64_t element_bytes)
    : sizes_(to), steps_(broadcast_steps(from, to.size())), element_bytes_(element_bytes) {
  if (to.empty()) return;
  length_ = sizes_.back();
  repeats_ = steps_.back() == 0;
  sizes_.pop_back();
  steps_.pop_back();
  for (int64_t size : sizes_) rows_ *= size;
}

void RepeatStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(rows_, chunk, chunks);
  const auto element = static_cast<size_t>(element_bytes_), row_bytes = static_cast<size_t>(length_) * element;
  uint8_t* to = bytes_of(frame.at(y)) + share.begin * length_ * element_bytes_;
  for (int64_t row = share.begin; row < share.end; ++row, to += row_bytes) {
    int64_t offset = 0, rest = row;
    for (size_t axis = sizes_.size(); axis-- > 0; rest /= sizes_[axis]) offset += rest % sizes_[axis] * steps_[axis];
    const uint8_t* from = bytes_of(frame.at(x)) + offset * element_bytes_;
    if (!repeats_) {
      std::memcpy(to, from, row_bytes);
    } else {
      for (size_t at = 0; at < row_bytes; at += element) std::memcpy(to + at, from, element);
    }
  }
}

void PermuteStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(vectors, chunk, chunks);
  const auto border = std::bit_cast<float>(border_of(quantization, std::bit_cast<uint32_t>(fill), frame));
  for (int64_t r = 0; r < plan.repeats; ++r) {
    kernels->permute(plan.copies.data(), static_cast<int64_t>(plan.copies.size()), plan.sources.data(),
                     frame.at(x) + r * plan.source_step, frame.at(y) + r * plan.destination_step, share.begin,
                     share.end, border);
  }
}

}  // namespace sparsecpu
