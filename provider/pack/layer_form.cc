#include "pack/layer_form.h"

#include <cstddef>

namespace sparsecpu {

const char* form_name(LayerForm form, bool bytes) {
  constexpr const char* kNames[][2] = {
      {"depthwise", "depthwise int8"},
      {"dense", "dense int8"},
      {"spmm", "spmm int8"},
      {"jit spmm", "jit spmm int8"},
      {"few rows, dense", "few rows int8, dense"},
      {"few rows, sparse", "few rows int8, sparse"},
  };
  return kNames[static_cast<size_t>(form)][bytes ? 1 : 0];
}

}  // namespace sparsecpu
