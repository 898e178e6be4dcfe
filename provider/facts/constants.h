// Reads constant values of a Graph, checked: a malformed one gives a reason, never a crash.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"
#include "ops/dims.h"

namespace sparsecpu {

std::string_view element_type_name(ElementType type);
// Whether a constant of shape `dims` is either one number for a whole tensor of `rank` axes or one for each of the
// `channels` of its `axis`, as numpy broadcasts it: its length alone does not say along which axis it lies.
Check check_vector(const std::vector<int64_t>& dims, int rank, int axis, int64_t channels);

// All elements of a well-formed constant of the type.
Result<std::vector<float>> constant_floats(const Value& value);
Result<std::vector<int64_t>> constant_ints(const Value& value);  // int64 or int32
// A vector of `size` floats, into *result; `what` names it in the reason.
Check read_vector(const Value* value, const char* what, int64_t size, std::vector<float>* result);
// Whether `value` can be read as a constant of `type`.
Check check_constant(const Value& value, ElementType type);
// The only element of a float32, uint8 or int8 constant.
std::optional<float> constant_number(const Value& value);

}  // namespace sparsecpu
