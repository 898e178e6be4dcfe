// Reads constant values of a Graph, checked: a malformed one gives a reason, never a crash.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "ops/dims.h"

namespace sparsecpu {

std::string_view element_type_name(ElementType type);
// Why a constant of shape `dims` is neither one number for a whole tensor of `rank` axes nor one for each of the
// `channels` of its `axis`, as numpy broadcasts it: its length alone does not say along which axis it lies. "" if it
// is.
std::string vector_problem(const std::vector<int64_t>& dims, int rank, int axis, int64_t channels);

// Why `value` cannot be read as a constant of `type`; "" if it can.
std::string constant_problem(const Value& value, ElementType type);

// All elements; empty optional if the value is not a well-formed constant of the type.
std::optional<std::vector<float>> constant_floats(const Value& value);
std::optional<std::vector<int64_t>> constant_ints(const Value& value);  // int64 or int32
// The only element of a float32, uint8 or int8 constant.
std::optional<float> constant_number(const Value& value);

}  // namespace sparsecpu
