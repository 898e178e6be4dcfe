#include "claim/broadcast.h"

#include <algorithm>

namespace sparsecpu {

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
