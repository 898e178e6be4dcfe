// ORT's C API with errors as exceptions, and the way back: exceptions as OrtStatus at every C boundary.
#pragma once
#include <exception>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "abi/ort_abi.h"
#include "base/error.h"

namespace sparsecpu::ort {

// Set once, when ORT loads the library; every host in a process hands out the same tables.
const OrtApi& api();
const OrtEpApi& ep_api();
const std::string& host_version();  // "1.25.1"

// Returns null, or a status that says why this host cannot be used.
OrtStatus* connect(const OrtApiBase* base) noexcept;

// An ORT call failed: its message, and its code so that it can be handed on.
class OrtError : public Error {
 public:
  OrtError(OrtErrorCode code, const std::string& message) : Error(message), code_(code) {}
  OrtErrorCode code() const { return code_; }

 private:
  OrtErrorCode code_;
};

// Throws OrtError unless `status` is null; releases it.
void check(OrtStatus* status);
// For calls whose failure does not matter.
void ignore(OrtStatus* status) noexcept;

// The status for the exception being handled. Never EP_FAIL: ORT's Python front end answers that code by
// silently running the model on the CPU provider.
OrtStatus* status_of_current_exception() noexcept;

// Runs `body` as the whole of a function that ORT calls.
template <class Body>
OrtStatus* guard(Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (...) {
    return status_of_current_exception();
  }
}

// Result of `function(object, T*)`.
template <class T, class Object>
T get(OrtStatus* (*function)(const Object*, T*), const Object* object) {
  T result{};
  check(function(object, &result));
  return result;
}

// Result of a pair count(object, size_t*), fill(object, T*, size_t).
template <class T, class Object>
std::vector<T> get_list(OrtStatus* (*count)(const Object*, size_t*), OrtStatus* (*fill)(const Object*, T*, size_t),
                        const Object* object) {
  std::vector<T> result(get(count, object));
  if (!result.empty()) check(fill(object, result.data(), result.size()));
  return result;
}

// A string that ORT owns; "" for null.
template <class Object>
std::string get_string(OrtStatus* (*function)(const Object*, const char**), const Object* object) {
  const char* text = get(function, object);
  return text != nullptr ? text : "";
}

// Element type and dims of a tensor value.
struct TensorInfo {
  ONNXTensorElementDataType type{};
  std::vector<int64_t> dims;
};
TensorInfo tensor_info(const OrtValue* value);

// Entries of the session's configuration whose key starts with `prefix`, the prefix cut off.
std::vector<std::pair<std::string, std::string>> session_config(const OrtSessionOptions* options,
                                                                const std::string& prefix);

}  // namespace sparsecpu::ort
