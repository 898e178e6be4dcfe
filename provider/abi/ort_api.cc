#include "abi/ort_api.h"

#include <memory>

namespace sparsecpu::ort {
namespace {

const OrtApi* g_api = nullptr;
const OrtEpApi* g_ep_api = nullptr;
std::string g_host_version;

constexpr uint32_t kOldestApi = 1;

}  // namespace

const OrtApi& api() { return *g_api; }
const OrtEpApi& ep_api() { return *g_ep_api; }
const std::string& host_version() { return g_host_version; }

OrtStatus* connect(const OrtApiBase* base) noexcept {
  const OrtApi* table = base->GetApi(kApiVersion);
  if (table == nullptr) {
    // Slot 0 is the same in every version, so an error can be reported even to a host that is too old.
    const OrtApi* oldest = base->GetApi(kOldestApi);
    return oldest->CreateStatus(ORT_NOT_IMPLEMENTED,
                                "SparseCPUProvider needs ONNX Runtime 1.23 or newer (1.25 or newer to select it by "
                                "name in providers=[...]); please upgrade onnxruntime");
  }
  g_api = table;
  g_ep_api = table->GetEpApi();
  return guard([&] { g_host_version = base->GetVersionString(); });
}

void check(OrtStatus* status) {
  if (status == nullptr) return;
  const std::unique_ptr<OrtStatus, void (*)(OrtStatus*)> owner(status, g_api->ReleaseStatus);
  throw OrtError(g_api->GetErrorCode(status), g_api->GetErrorMessage(status));
}

void ignore(OrtStatus* status) noexcept {
  if (status != nullptr) g_api->ReleaseStatus(status);
}

OrtStatus* status_of_current_exception() noexcept {
  try {
    throw;
  } catch (const OrtError& error) {
    const OrtErrorCode code = error.code() == ORT_EP_FAIL ? ORT_RUNTIME_EXCEPTION : error.code();
    return g_api->CreateStatus(code, error.what());
  } catch (const Error& error) {
    return g_api->CreateStatus(ORT_INVALID_ARGUMENT, error.what());
  } catch (const std::bad_alloc&) {
    return g_api->CreateStatus(ORT_RUNTIME_EXCEPTION, "SparseCPUProvider: out of memory");
  } catch (const std::exception& error) {
    return g_api->CreateStatus(ORT_RUNTIME_EXCEPTION, error.what());
  } catch (...) {
    return g_api->CreateStatus(ORT_RUNTIME_EXCEPTION, "SparseCPUProvider: unknown exception");
  }
}

TensorInfo tensor_info(const OrtValue* value) {
  const std::unique_ptr<OrtTensorTypeAndShapeInfo, void (*)(OrtTensorTypeAndShapeInfo*)> info(
      get(g_api->GetTensorTypeAndShape, value), g_api->ReleaseTensorTypeAndShapeInfo);
  const OrtTensorTypeAndShapeInfo* view = info.get();
  return {get(g_api->GetTensorElementType, view), get_list(g_api->GetDimensionsCount, g_api->GetDimensions, view)};
}

std::vector<std::pair<std::string, std::string>> session_config(const OrtSessionOptions* options,
                                                                const std::string& prefix) {
  const std::unique_ptr<OrtKeyValuePairs, void (*)(OrtKeyValuePairs*)> entries(
      get(g_api->GetSessionOptionsConfigEntries, options), g_api->ReleaseKeyValuePairs);
  const char* const* keys = nullptr;
  const char* const* values = nullptr;
  size_t count = 0;
  g_api->GetKeyValuePairs(entries.get(), &keys, &values, &count);
  std::vector<std::pair<std::string, std::string>> result;
  for (size_t i = 0; i < count; ++i) {
    const std::string key = keys[i];
    if (key.starts_with(prefix)) result.emplace_back(key.substr(prefix.size()), values[i]);
  }
  return result;
}

}  // namespace sparsecpu::ort
