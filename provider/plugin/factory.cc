#include "plugin/factory.h"

#include "abi/ort_api.h"
#include "base/name.h"
#include "plugin/ep.h"

namespace sparsecpu {
namespace {

ort::OrtStatus* supported_devices(ort::OrtEpFactory* self, const ort::OrtHardwareDevice* const* devices, size_t count,
                                  ort::OrtEpDevice** ep_devices, size_t max, size_t* used) {
  return ort::guard([&] {
    *used = 0;
    for (size_t i = 0; i < count && *used < max; ++i) {
      if (ort::api().HardwareDevice_Type(devices[i]) != ort::OrtHardwareDeviceType_CPU) continue;
      ort::check(ort::ep_api().CreateEpDevice(self, devices[i], nullptr, nullptr, &ep_devices[*used]));
      ++*used;
    }
  });
}

}  // namespace

Factory::Factory() : ort::OrtEpFactory{} {
  ort_version_supported = ort::kApiVersion;
  GetName = [](const ort::OrtEpFactory*) -> const char* { return kProviderName; };
  GetVendor = [](const ort::OrtEpFactory*) -> const char* { return "SparseCPU"; };
  GetVendorId = [](const ort::OrtEpFactory*) -> uint32_t { return 0; };  // no PCI vendor
  GetVersion = [](const ort::OrtEpFactory*) -> const char* { return SPARSECPU_VERSION; };
  GetSupportedDevices = supported_devices;
  CreateEp = [](ort::OrtEpFactory* self, const ort::OrtHardwareDevice* const*, const ort::OrtKeyValuePairs* const*,
                size_t, const ort::OrtSessionOptions* options, const ort::OrtLogger* logger, ort::OrtEp** ep) {
    return ort::guard([&] {
      *ep = new Ep(options, logger);
      static_cast<Factory*>(self)->references_.fetch_add(1);
    });
  };
  ReleaseEp = [](ort::OrtEpFactory* self, ort::OrtEp* ep) {
    delete static_cast<Ep*>(ep);
    static_cast<Factory*>(self)->release();
  };
  CreateDataTransfer = [](ort::OrtEpFactory*, ort::OrtDataTransferImpl** transfer) -> ort::OrtStatus* {
    *transfer = nullptr;  // all memory is the CPU's
    return nullptr;
  };
}

void Factory::release() {
  if (references_.fetch_sub(1) == 1) delete this;
}

}  // namespace sparsecpu
