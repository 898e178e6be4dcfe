#include "price/token_cost.h"

#include <algorithm>

#include "base/memory.h"
#include "facts/constants.h"
#include "price/layer_cost.h"

namespace sparsecpu {

void price_attention(const Attention& attention, const std::vector<Shape>& inputs, Isa isa, NodeCost* cost) {
  const Shape &q = inputs[0], &k = inputs[1], &v = inputs[2];
  const int64_t scores = q[0] * attention.heads * q[1] * k[1];
  const double flops = 2.0 * static_cast<double>(q[0] * q[1] * k[1]) * static_cast<double>(q[2] + v[2]);
  const double waste = 16.0 * static_cast<double>(ceil_div(q[1], 16)) / static_cast<double>(std::max<int64_t>(1, q[1]));
  const int64_t moved = 2 * (element_count(q) + element_count(k) + element_count(v) + q[0] * q[1] * v[2]);
  const LayerSpeed& speed = layer_speed(isa, /*bytes=*/false);
  const double cpu = flops / (speed.cpu * kSmallProducts) * 1e-3 +
                     (kCpuSoftmaxPasses + kScorePasses) * pass_us(scores, isa) + pass_us(moved, isa) +
                     kCallUs * static_cast<double>(kAttentionNodes);
  const double here =
      flops * waste / (2 * 16 * speed.dense.rate) * 1e-3 + kSoftmaxPasses * pass_us(scores, isa) * waste;
  cost->multiply_adds += flops / 2;
  cost->cpu_us += cpu;
  cost->here_us += here;
  cost->fused_cpu_us += cpu;
  cost->fused_here_us += here;
}

void price_norm(const Moves& moves, const Shape& x, Isa isa, NodeCost* cost) {
  const auto us = [&](const Moves::Side& side, double call) {
    return call * side.calls + pass_us(side.values * element_count(x), isa);
  };
  const double cpu = us(moves.cpu, kCallUs), here = us(moves.here, kStepUs);
  cost->cpu_us += cpu;
  cost->here_us += here;
  cost->fused_cpu_us += cpu;
  cost->fused_here_us += here;
}

bool are_tokens(const std::vector<Shape>& sides) {
  constexpr size_t kSides = 3;
  return sides.size() >= kSides &&
         std::all_of(sides.begin(), sides.begin() + kSides, [](const Shape& side) { return side.size() == 3; });
}

}  // namespace sparsecpu
