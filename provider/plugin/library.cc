// What ONNX Runtime looks up in this library.
#include "abi/ort_api.h"
#include "base/export.h"
#include "plugin/factory.h"

extern "C" SPARSECPU_EXPORT sparsecpu::ort::OrtStatus* CreateEpFactories(const char* /*registration_name*/,
                                                                         const sparsecpu::ort::OrtApiBase* base,
                                                                         const sparsecpu::ort::OrtLogger* /*logger*/,
                                                                         sparsecpu::ort::OrtEpFactory** factories,
                                                                         size_t max, size_t* count) {
  namespace ort = sparsecpu::ort;
  if (ort::OrtStatus* status = ort::connect(base)) return status;
  return ort::guard([&] {
    if (max < 1) throw sparsecpu::Error("CreateEpFactories: room for 0 factories, expected at least 1");
    factories[0] = new sparsecpu::Factory();
    *count = 1;
  });
}

extern "C" SPARSECPU_EXPORT sparsecpu::ort::OrtStatus* ReleaseEpFactory(sparsecpu::ort::OrtEpFactory* factory) {
  static_cast<sparsecpu::Factory*>(factory)->release();
  return nullptr;
}
