#include "run/norm_steps.h"

namespace sparsecpu {

void RowNormStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(tokens, chunk, chunks);
  const int64_t channels = static_cast<int64_t>(parameters.scale.size());
  for (int64_t t = share.begin; t < share.end; ++t) {
    kernels->layer_norm_row(parameters.scale.data(), parameters.shift.data(), parameters.epsilon,
                            frame.at(x) + t * channels, frame.at(y) + t * channels, channels);
  }
}

}  // namespace sparsecpu
