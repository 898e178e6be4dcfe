#include "lower/emission.h"

namespace sparsecpu {

std::unique_ptr<const Program> Emission::finish() {
  buffers_.finish(program_.get());
  return std::move(program_);
}

}  // namespace sparsecpu
