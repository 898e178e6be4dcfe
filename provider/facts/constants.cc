#include "facts/constants.h"

#include <cstring>
#include <string_view>

namespace sparsecpu {

std::string_view element_type_name(ElementType type) {
  switch (type) {
    case ElementType::kFloat:
      return "float32";
    case ElementType::kUint8:
      return "uint8";
    case ElementType::kInt8:
      return "int8";
    case ElementType::kUint16:
      return "uint16";
    case ElementType::kInt16:
      return "int16";
    case ElementType::kInt32:
      return "int32";
    case ElementType::kInt64:
      return "int64";
    case ElementType::kString:
      return "string";
    case ElementType::kBool:
      return "bool";
    case ElementType::kFloat16:
      return "float16";
    case ElementType::kDouble:
      return "float64";
    case ElementType::kUint32:
      return "uint32";
    case ElementType::kUint64:
      return "uint64";
    case ElementType::kBfloat16:
      return "bfloat16";
    case ElementType::kUndefined:
      break;
  }
  return "of an unknown type";
}

Check check_vector(const std::vector<int64_t>& dims, int rank, int axis, int64_t channels) {
  const int offset = rank - static_cast<int>(dims.size());
  bool fits = offset >= 0;
  for (size_t i = 0; i < dims.size(); ++i) {
    fits &= dims[i] == 1 || (offset + static_cast<int>(i) == axis && dims[i] == channels);
  }
  if (fits) return {};
  return decline("shape " + dims_text(dims) + " is neither one number nor one for each of " + std::to_string(channels) +
                 " channels on axis " + std::to_string(axis) + " of " + std::to_string(rank));
}

namespace {

int64_t element_bytes(ElementType type) {
  switch (type) {
    case ElementType::kUint8:
    case ElementType::kInt8:
      return 1;
    case ElementType::kFloat:
    case ElementType::kInt32:
      return 4;
    case ElementType::kInt64:
      return 8;
    default:
      return 0;
  }
}

}  // namespace

Check check_constant(const Value& value, ElementType type) {
  if (!value.is_constant) return decline("'" + value.name + "' is not a constant");
  const Constant& constant = value.constant;
  if (constant.type != type) {
    return decline("'" + value.name + "' is " + std::string(element_type_name(constant.type)) + "; only " +
                   std::string(element_type_name(type)) + " is supported");
  }
  const int64_t count = element_count(constant.dims);
  int64_t bytes = 0;
  if (count < 0 || __builtin_mul_overflow(count, element_bytes(type), &bytes) ||
      static_cast<uint64_t>(bytes) != constant.bytes || (constant.data == nullptr && count > 0)) {
    return decline("'" + value.name + "' is malformed: " + std::to_string(constant.bytes) + " bytes for shape " +
                   dims_text(constant.dims));
  }
  return {};
}

Result<std::vector<float>> constant_floats(const Value& value) {
  if (Check ok = check_constant(value, ElementType::kFloat); !ok) return ok.reason();
  std::vector<float> result(value.constant.bytes / sizeof(float));
  if (!result.empty()) std::memcpy(result.data(), value.constant.data, value.constant.bytes);
  return result;
}

Result<std::vector<int64_t>> constant_ints(const Value& value) {
  if (check_constant(value, ElementType::kInt64)) {
    std::vector<int64_t> result(value.constant.bytes / sizeof(int64_t));
    if (!result.empty()) std::memcpy(result.data(), value.constant.data, value.constant.bytes);
    return result;
  }
  if (Check ok = check_constant(value, ElementType::kInt32); !ok) return ok.reason();
  std::vector<int32_t> narrow(value.constant.bytes / sizeof(int32_t));
  if (!narrow.empty()) std::memcpy(narrow.data(), value.constant.data, value.constant.bytes);
  return std::vector<int64_t>(narrow.begin(), narrow.end());
}

Check read_vector(const Value* value, const char* what, int64_t size, std::vector<float>* result) {
  if (value == nullptr) return decline(std::string("its ") + what + " is missing");
  const auto floats = constant_floats(*value);
  if (!floats) return decline(std::string("its ") + what + " cannot be used: " + floats.why());
  if (static_cast<int64_t>(floats->size()) != size || value->constant.dims.size() != 1) {
    return decline(std::string("its ") + what + " has shape " + dims_text(value->constant.dims) + "; [" +
                   std::to_string(size) + "] is expected");
  }
  *result = *floats;
  return {};
}

std::optional<float> constant_number(const Value& value) {
  const Constant& constant = value.constant;
  if (!value.is_constant || element_count(constant.dims) != 1) return std::nullopt;
  if (check_constant(value, ElementType::kUint8)) return *static_cast<const uint8_t*>(constant.data);
  if (check_constant(value, ElementType::kInt8)) return *static_cast<const int8_t*>(constant.data);
  const auto floats = constant_floats(value);
  return floats ? std::optional<float>(floats->front()) : std::nullopt;
}

}  // namespace sparsecpu
