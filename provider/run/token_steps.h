// Steps of transformer blocks: normalization, attention and selection over tokens.
#pragma once
#include <array>
#include <optional>
#include <vector>

#include "kernels/kernels.h"
#include "run/lane_tensor.h"
#include "run/pointwise_steps.h"

namespace sparsecpu {

struct NormParameters {
  std::vector<float> scale, shift;  // one entry a channel
  float epsilon = 0;
};

class LaneNormStep final : public LanePositionStep {
 public:
  NormParameters parameters;

 private:
  void compute(const float* in, float* out, PositionRange::At, const Frame&) const noexcept override {
    kernels->layer_norm(parameters.scale.data(), parameters.shift.data(), parameters.epsilon, in, out, vectors);
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

// A row-major mask; a step of 0 repeats it.
struct AttentionMask {
  TensorRef ref;
  std::array<int64_t, 4> step{};  // floats to the next sequence, head, query, key
};

// Bytes of a bool mask to floats: 0, or `masked` where a score is dropped.
class BoolMaskStep final : public Step {
 public:
  int64_t count = 0;
  bool drops = false;  // true means dropped
  float masked = 0;
  TensorRef x, y;

  void run(int chunk, const Frame& frame) const noexcept override;
};

// A unit of work is a head of a sequence with some of its query vectors. Sequences follow one another without gaps, so
// a vector may hold tokens of several: each computes it for itself and writes its own lanes.
class AttentionStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  int64_t sequences = 1, heads = 1, queries = 1, keys = 1;  // queries, keys: of one sequence
  int64_t depth = 1, value_depth = 1;                       // channels of a head
  float scale = 1;
  bool zero_nan = false;
  LaneTensor q, k, v, y;
  std::optional<AttentionMask> mask;
  TensorRef scores;  // scratch: a part for each chunk

  int64_t units() const { return sequences * heads * tiles(); }
  int64_t scores_floats() const;  // of a chunk
  void run(int chunk, const Frame& frame) const noexcept override;

 private:
  struct Sequence {
    int64_t index, head;
  };
  // Query tiles of a sequence, wherever in a vector it begins; the last may be empty.
  int64_t tiles() const;
  AttentionKeys keys_of(Sequence sequence, const Frame& frame) const noexcept;
  AttentionQueries queries_of(Sequence sequence, int64_t tile, const Frame& frame) const noexcept;
  void load_mask(Sequence sequence, int64_t tile, const AttentionKeys& now, int vectors, const float* from,
                 float* to) const noexcept;
  int64_t first_vector(int64_t sequence, int64_t tile) const noexcept {
    return sequence * queries / kLanes + tile * kernels->attention_tile;
  }
};

// Row-major rows of one token of each sequence, from lanes or from rows.
class SelectTokenStep final : public Step {
 public:
  int64_t sequences = 1, tokens = 1, index = 0, channels = 0;
  std::optional<LaneTensor> lanes;
  TensorRef rows, y;  // rows: unless there are lanes

  void run(int chunk, const Frame& frame) const noexcept override;
};

}  // namespace sparsecpu
