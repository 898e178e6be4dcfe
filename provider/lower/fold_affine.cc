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

enum class Reach { kNothing, kLess, kEnough };

// Whether a weight of the row times its scale is as large as this; kNothing: all of them are zero.
Reach reach_of_row(const WeightView& weight, int64_t row, float scale, float magnitude) {
  Reach result = Reach::kNothing;
  for (int64_t c = 0; c < weight.channels; ++c) {
    for (int64_t t = 0; t < weight.taps; ++t) {
      const float value = std::fabs(weight.at(row, c, t) * scale);
      if (value == 0) continue;
      if (value >= magnitude) return Reach::kEnough;
      result = Reach::kLess;
    }
  }
  return result;
}

// Whether most rows with weights reach their magnitude: a single row of large weights says nothing of the others, and
// one of tiny weights, as training leaves some, is lost among them.
bool weights_reach(const WeightView& weight, const std::vector<float>& row_scale, const std::vector<float>& magnitude) {
  int64_t enough = 0, less = 0;
  for (int64_t r = 0; r < weight.rows; ++r) {
    const auto row = static_cast<size_t>(r);
    const Reach reach = reach_of_row(weight, r, row_scale[row], magnitude[row]);
    enough += reach == Reach::kEnough;
    less += reach == Reach::kLess;
  }
  return enough >= less;
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
  std::vector<float> added(rows);
  for (size_t r = 0; r < rows; ++r) {
    const float scale = affine.scale[affine.scale.size() == 1 ? 0 : r];
    const float shift = affine.shift[affine.shift.size() == 1 ? 0 : r];
    scales[r] *= scale;
    shifts[r] *= scale;
    added[r] = std::max(std::fabs(shift), std::fabs(shifts[r])) / kDwarfs;
    shifts[r] += shift;
  }
  if (!is_moderate(largest(affine.scale)) || !is_moderate(largest(scales)) || !std::isfinite(largest(added)))
    return false;
  if (largest(added) > 0 && !weights_reach(linear.weight, scales, added)) return false;
  stage->row_scale = std::move(scales);
  stage->row_shift = std::move(shifts);
  return true;
}

}  // namespace sparsecpu
