// What steps take of an Op.
#pragma once
#include <optional>

#include "kernels/quantized.h"
#include "ops/op.h"
#include "run/lane_step.h"

namespace sparsecpu {

inline Activation activation_of(const Unary& unary) { return {unary.kind, unary.a, unary.b}; }
inline std::optional<Activation> activation_of(const std::optional<Unary>& unary) {
  return unary ? std::optional(activation_of(*unary)) : std::nullopt;
}
inline QuantizeParameters parameters_of(const Quantization& q) { return {q.scale, q.stored_zero_point()}; }

}  // namespace sparsecpu
