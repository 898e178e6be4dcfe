#include "lower/stage.h"

#include <algorithm>

namespace sparsecpu {

std::optional<Unary> as_unary(Clamp clamp) {
  if (clamp.lo == kNoClamp.lo && clamp.hi == kNoClamp.hi) return {};
  if (clamp.lo == 0 && clamp.hi == kNoClamp.hi) return Unary{UnaryKind::kRelu, 0, 0};
  return Unary{UnaryKind::kClip, clamp.lo, clamp.hi};
}

std::optional<Axes> Stage::channel_axes() const {
  std::optional<Axes> axes = op.own_axes();
  for (const Follower& function : then) {
    const auto own = std::visit(
        [](const auto& f) -> std::optional<Axes> {
          if constexpr (requires { f.own_axes(); }) return f.own_axes();
          return std::nullopt;
        },
        function);
    if (own) axes = own;
  }
  return axes;
}

std::array<uint8_t, 256> stored_table(const Lookup& lookup, bool input_signed) {
  std::array<uint8_t, 256> table;
  for (size_t i = 0; i < 256; ++i) {
    table[i] =
        static_cast<uint8_t>(lookup.table[i ^ (input_signed ? 0x80u : 0u)] ^ (lookup.output_signed ? 0x80u : 0u));
  }
  return table;
}

std::vector<int> ops_of(const std::vector<Stage>& stages, size_t begin, size_t end) {
  std::vector<int> ops;
  for (size_t s = begin; s < end; ++s) {
    ops.insert(ops.end(), stages[s].op_indices.begin(), stages[s].op_indices.end());
  }
  std::sort(ops.begin(), ops.end());
  return ops;
}

}  // namespace sparsecpu
