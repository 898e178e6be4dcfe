#include "facts/axis_trace.h"

namespace sparsecpu {

Factors simplified(const Factors& factors) {
  Factors result;
  for (const Factor& factor : factors) {
    if (factor.size == 1) continue;
    if (!result.empty() && result.back().source == factor.source && result.back().stride == factor.stride * factor.size)
      result.back() = {factor.source, factor.stride, result.back().size * factor.size};
    else
      result.push_back(factor);
  }
  return result;
}

AxisTrace AxisTrace::of(const Shape& source) {
  std::vector<Factors> axes;
  for (size_t i = 0; i < source.size(); ++i) axes.push_back({Factor{static_cast<int>(i), 1, source[i]}});
  return AxisTrace(std::move(axes));
}

bool AxisTrace::reshape(const Shape& to) {
  Factors rest;  // fastest first
  for (size_t i = axes_.size(); i-- > 0;) {
    const Factors axis = simplified(axes_[i]);
    rest.insert(rest.end(), axis.rbegin(), axis.rend());
  }
  std::vector<Factors> result;
  for (int64_t size : to) {
    Factors axis;
    while (size > 1) {
      if (rest.empty()) return false;
      const Factor whole = rest.back();
      rest.pop_back();
      if (size % whole.size == 0) {
        axis.push_back(whole);
        size /= whole.size;
      } else {
        if (whole.size % size != 0) return false;
        const int64_t inner = whole.size / size;
        axis.push_back({whole.source, whole.stride * inner, size});
        rest.push_back({whole.source, whole.stride, inner});
        size = 1;
      }
    }
    if (size < 1) return false;
    result.push_back(std::move(axis));
  }
  axes_ = std::move(result);
  return rest.empty();
}

bool AxisTrace::transpose(const std::vector<int64_t>& perm) {
  if (perm.size() != axes_.size()) return false;
  std::vector<Factors> result;
  for (int64_t axis : perm) {
    if (axis < 0 || axis >= static_cast<int64_t>(axes_.size())) return false;
    result.push_back(axes_[axis]);
  }
  axes_ = std::move(result);
  return true;
}

bool AxisTrace::select(int64_t axis, int64_t index) {
  if (axis < 0) axis += static_cast<int64_t>(axes_.size());
  if (axis < 0 || axis >= static_cast<int64_t>(axes_.size())) return false;
  const Factors factors = simplified(axes_[axis]);
  if (factors.size() > 1) return false;
  if (!factors.empty()) {
    const Factor& factor = factors[0];
    if (index < 0) index += factor.size;
    if (index < 0 || index >= factor.size) return false;
    if (offsets_.size() <= static_cast<size_t>(factor.source)) offsets_.resize(factor.source + 1, 0);
    offsets_[factor.source] += index * factor.stride;
  }
  axes_.erase(axes_.begin() + axis);
  return true;
}

}  // namespace sparsecpu
