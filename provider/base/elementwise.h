// Elementwise functions, named once for recognise/ (which recognises them) and kernels/ (which compute them).
// Included by files compiled for an instruction-set level: no STL in it.
#pragma once

namespace sparsecpu {

enum class UnaryKind {
  kRelu,
  kClip /*a=min b=max*/,
  kLeakyRelu /*a=slope*/,
  kSigmoid,
  kSilu /*x*sigmoid(a*x)*/,
  kHardSigmoid /*a=alpha b=beta*/,
  kHardSwish,
  kGelu /*erf*/,
  kGeluTanh,
  kTanh,
  kErf,
};
constexpr bool is_transcendental(UnaryKind kind) {
  return kind != UnaryKind::kRelu && kind != UnaryKind::kClip && kind != UnaryKind::kLeakyRelu &&
         kind != UnaryKind::kHardSigmoid && kind != UnaryKind::kHardSwish;
}

enum class BinaryKind { kAdd, kSub, kMul };

}  // namespace sparsecpu
