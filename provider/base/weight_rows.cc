#include "base/weight_rows.h"

#include <algorithm>
#include <vector>

namespace sparsecpu {
namespace {

// Rows are read in strips, so that both row-major weights and their transpose are read a cache line at a time.
constexpr int64_t kStripRows = 16;

// The loops run over the axis that is contiguous in the file innermost.
template <class Byte>
void read_strip(const QuantizedWeightView& w, const Byte* from, int64_t first, int64_t count, int16_t* to) {
  const int64_t row_size = w.taps * w.channels;
  from += first * w.row_stride;
  if (w.row_stride == 1) {
    for (int64_t c = 0; c < w.channels; ++c) {
      for (int64_t t = 0; t < w.taps; ++t) {
        const Byte* column = from + c * w.channel_stride + t * w.tap_stride;
        int16_t* into = to + t * w.channels + c;
        for (int64_t r = 0; r < count; ++r) into[r * row_size] = column[r];
      }
    }
    return;
  }
  for (int64_t r = 0; r < count; ++r, from += w.row_stride, to += row_size) {
    if (w.taps == 1) {
      for (int64_t c = 0; c < w.channels; ++c) to[c] = from[c * w.channel_stride];
      continue;
    }
    for (int64_t c = 0; c < w.channels; ++c) {
      for (int64_t t = 0; t < w.taps; ++t) to[t * w.channels + c] = from[c * w.channel_stride + t * w.tap_stride];
    }
  }
}

}  // namespace

void for_each_weight_row(const QuantizedWeightView& w, const std::function<void(int64_t, const int16_t*)>& visit) {
  const int64_t row_size = w.taps * w.channels;
  std::vector<int16_t> strip(static_cast<size_t>(row_size * std::min(kStripRows, w.rows)));
  for (int64_t first = 0; first < w.rows; first += kStripRows) {
    const int64_t count = std::min(kStripRows, w.rows - first);
    if (w.is_signed) {
      read_strip(w, static_cast<const int8_t*>(w.data), first, count, strip.data());
    } else {
      read_strip(w, static_cast<const uint8_t*>(w.data), first, count, strip.data());
    }
    for (int64_t r = 0; r < count; ++r) {
      int16_t* row = strip.data() + r * row_size;
      if (const auto zero = static_cast<int16_t>(w.zero_point(first + r)); zero != 0) {
        for (int64_t i = 0; i < row_size; ++i) row[i] = static_cast<int16_t>(row[i] - zero);
      }
      visit(first + r, row);
    }
  }
}

}  // namespace sparsecpu
