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
  kExp,
  kSoftplus,
  kElu /*x < 0: a*(e^x - 1), else b*x*/,
  kSoftsign,
  kSqrt,
  kReciprocal,
  kSquare,
  kAbs,
  kRound /*half to even*/,
  kFloor,
  kCeil,
};
constexpr bool is_transcendental(UnaryKind kind) {
  switch (kind) {
    case UnaryKind::kSigmoid:
    case UnaryKind::kSilu:
    case UnaryKind::kGelu:
    case UnaryKind::kGeluTanh:
    case UnaryKind::kTanh:
    case UnaryKind::kErf:
    case UnaryKind::kExp:
    case UnaryKind::kSoftplus:
    case UnaryKind::kElu:
      return true;
    default:
      return false;
  }
}

enum class BinaryKind { kAdd, kSub, kMul, kDiv, kMax, kMin };

}  // namespace sparsecpu
