#include "lower/fold_affine.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sparsecpu {
namespace {

// The largest magnitude; infinity if one of them is no finite number.
float largest(const std::vector<float>& values) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float result = 0;
  for (float v : values) result = std::max(result, std::isfinite(v) ? std::fabs(v) : kInfinity);
  return result;
}

// Far from where products with weights over- or underflow.
bool is_moderate(float magnitude) { return magnitude == 0 || (magnitude > 0x1p-60f && magnitude < 0x1p60f); }

// Whether a weight times its row's scale is as large as this.
bool weights_reach(const WeightView& weight, const std::vector<float>& row_scale, float magnitude) {
  for (int64_t r = 0; r < weight.rows; ++r) {
    for (int64_t c = 0; c < weight.channels; ++c) {
      for (int64_t t = 0; t < weight.taps; ++t) {
        if (std::fabs(weight.at(r, c, t) * row_scale[static_cast<size_t>(r)]) >= magnitude) return true;
      }
    }
  }
  return false;
}

}  // namespace

bool fold(const Affine& affine, const Linear& linear, Stage* stage) {
  constexpr float kDwarfs = 0x1p10f;
  const auto rows = static_cast<size_t>(linear.out_channels);
  const auto fits = [&](const std::vector<float>& vector) { return vector.size() == 1 || vector.size() == rows; };
  if (!fits(affine.scale) || !fits(affine.shift)) return false;
  std::vector<float> scales = stage->row_scale, shifts = stage->row_shift;
  scales.resize(rows, 1.0f);
  shifts.resize(rows, 0.0f);
  float added = largest(affine.shift);
  for (size_t r = 0; r < rows; ++r) {
    const float scale = affine.scale[affine.scale.size() == 1 ? 0 : r];
    scales[r] *= scale;
    shifts[r] *= scale;
    added = std::max(added, std::fabs(shifts[r]));
    shifts[r] += affine.shift[affine.shift.size() == 1 ? 0 : r];
  }
  if (!is_moderate(largest(affine.scale)) || !is_moderate(largest(scales)) || !std::isfinite(added)) return false;
  if (added > 0 && !weights_reach(linear.weight, scales, added / kDwarfs)) return false;
  stage->row_scale = std::move(scales);
  stage->row_shift = std::move(shifts);
  return true;
}

}  // namespace sparsecpu
