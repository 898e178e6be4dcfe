// Sizes of tensors, row-major.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sparsecpu {

using Shape = std::vector<int64_t>;

std::string dims_text(const Shape& dims);  // "[1,64,-1,-1]"

// Number of elements, or -1 when a dimension is negative or the product does not fit.
int64_t element_count(const Shape& dims);

// The shape to which tensors of both shapes broadcast by ONNX's rule, aligned at their last axes; nullopt if they do
// not.
std::optional<Shape> broadcast_shape(const Shape& a, const Shape& b);

}  // namespace sparsecpu
