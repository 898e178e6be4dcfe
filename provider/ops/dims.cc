#include "ops/dims.h"

#include <algorithm>

namespace sparsecpu {

std::string dims_text(const Shape& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) text += (i ? "," : "") + std::to_string(dims[i]);
  return text + "]";
}

int64_t element_count(const Shape& dims) {
  int64_t count = 1;
  for (int64_t d : dims) {
    if (d < 0 || __builtin_mul_overflow(count, d, &count)) return -1;
  }
  return count;
}

std::optional<Shape> broadcast_shape(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()), 1);
  for (const Shape& shape : {a, b}) {
    const size_t missing = result.size() - shape.size();
    for (size_t i = 0; i < shape.size(); ++i) {
      int64_t& size = result[missing + i];
      if (size != 1 && shape[i] != 1 && shape[i] != size) return std::nullopt;
      if (size == 1) size = shape[i];
    }
  }
  return result;
}

}  // namespace sparsecpu
