// Shapes, and the numbers of small tensors, behind the operators that there is no Op for. Exporters compute Reshape
// targets, masks and scales from the shapes of other values; evaluated for concrete sizes these are plain numbers.
#pragma once
#include <optional>
#include <vector>

#include "graph/graph.h"
#include "ops/op.h"

namespace sparsecpu {

// What is known of a tensor for one choice of sizes. numbers: row-major, of at most kMostNumbers elements; integers,
// booleans (0 or 1) and floats alike.
struct KnownTensor {
  std::optional<Shape> shape;
  std::optional<std::vector<double>> numbers;
  bool is_constant = false;
};
constexpr int64_t kMostNumbers = 64;

// The numbers of a constant of float32, int32, int64 or bool; nothing if it is larger.
std::optional<std::vector<double>> constant_numbers(const Value& value);

// One entry an output of `node`; empty ones where nothing is known. `integers`: its first output is of an integer type.
std::vector<KnownTensor> infer(const Node& node, const std::vector<KnownTensor>& inputs, bool integers);

}  // namespace sparsecpu
