// Makes one provider per session.
#pragma once
#include <atomic>

#include "abi/ort_abi.h"

namespace sparsecpu {

// Lives until it was released and the last provider it made is gone: a session may outlive the registration.
class Factory : public ort::OrtEpFactory {
 public:
  Factory();
  void release();  // the registration, or a provider, is gone

 private:
  std::atomic<int> references_{1};
};

}  // namespace sparsecpu
