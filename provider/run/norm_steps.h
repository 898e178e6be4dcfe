// Steps that normalize by statistics of the values themselves.
#pragma once
#include <optional>
#include <vector>

#include "run/pointwise_steps.h"

namespace sparsecpu {

struct NormParameters {
  std::vector<float> scale, shift;  // one entry a channel
  float epsilon = 0;
  bool centred = true;

  TokenNorm view() const { return {scale.data(), shift.data(), epsilon, centred}; }
};

class LaneNormStep final : public LanePositionStep {
 public:
  NormParameters parameters;

 private:
  void compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept override {
    kernels->layer_norm(parameters.view(), in, out, vectors);
  }
};

// Row-major tokens.
class RowNormStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  NormParameters parameters;
  int64_t tokens = 0;
  TensorRef x, y;

  void run(int chunk, const Frame& frame) const noexcept override;
};

// An image's channels in groups. Their statistics span lanes and positions, so they take two steps: the moments of
// blocks of positions, lane by lane, then those of each image's groups, which a third step normalizes by. Blocks do not
// depend on the threads, nor does the order in which they are added.
struct GroupBlocks {
  Geometry geometry;
  int64_t groups = 1, channels = 1;  // of a group
  int64_t blocks = 1;                // of the positions of a batch group
  TensorRef moments;                 // LaneMoments [batch group][block][group]

  int64_t moment_count() const { return geometry.groups() * blocks * groups; }
  int64_t unit_count() const { return geometry.groups() * groups; }
};
constexpr int64_t kMomentFloats = sizeof(LaneMoments) / sizeof(float), kUnitFloats = sizeof(LaneUnits) / sizeof(float);

class GroupMomentsStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  GroupBlocks parts;
  Walk x;
  std::vector<ptrdiff_t> offsets;  // of the positions of a batch group
  std::vector<uint16_t> masks;     // the lanes that hold a pixel there

  void run(int chunk, const Frame& frame) const noexcept override;
};

class GroupUnitsStep final : public Step {
 public:
  GroupBlocks parts;
  float epsilon = 0;
  TensorRef units;  // LaneUnits [batch group][group]

  void run(int chunk, const Frame& frame) const noexcept override;

 private:
  void set_lanes(const LaneMoments* first, int begin, int end, LaneUnits* to) const noexcept;
};

class LaneGroupNormStep final : public LanePositionStep {
 public:
  NormParameters parameters;
  TensorRef units;
  int64_t groups = 1;
  std::optional<Activation> post;

 private:
  void compute(const float* in, float* out, PositionRange::At at, const Frame& frame) const noexcept override;
};

}  // namespace sparsecpu
