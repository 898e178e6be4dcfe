// Elementwise arithmetic on the numbers of small tensors, of which exporters compute shapes, masks and scales.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "ops/op.h"

namespace sparsecpu {

using Numbers = std::vector<double>;  // row-major; booleans are 0 or 1

// The numbers of `from` as they repeat over `to`, to which it broadcasts.
Numbers spread(const Numbers& numbers, const Shape& from, const Shape& to);

// What an ONNX operator of one or two inputs computes of one element; null: it is none of those. `integers`: of an
// integer type.
using UnaryNumber = double (*)(double);
using BinaryNumber = double (*)(double, double);
UnaryNumber unary_number(std::string_view op_type, bool integers);
BinaryNumber binary_number(std::string_view op_type, bool integers);

}  // namespace sparsecpu
