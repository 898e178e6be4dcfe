// Steps of transformer blocks: attention and selection over tokens.
#pragma once
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/attention_mask.h"
#include "base/memory.h"
#include "kernels/quantized.h"
#include "run/lane_tensor.h"

namespace sparsecpu {

// A row-major mask; a step of 0 repeats it.
struct AttentionMask {
  TensorRef ref;
  std::array<int64_t, 4> step{};  // floats to the next sequence, head, query, key
};

// A mask of bools or int32 to floats: 0, or `masked`.
class MaskStep final : public Step {
 public:
  MaskKind kind = MaskKind::kKeeps;
  int64_t count = 0;  // of floats
  int64_t keys = 1;
  int64_t starts = 0;  // kLengths: where the first keys' numbers begin; 0: there are none
  float masked = 0;
  TensorRef x, y;

  void run(int chunk, const Frame& frame) const noexcept override;

 private:
  bool is_masked(int64_t i, const Frame& frame) const noexcept;
};

// A unit of work is a head of a sequence with some of its query vectors. Sequences follow one another without gaps, so
// a vector may hold tokens of several: each computes it for itself and writes its own lanes.
class AttentionStep : public Step {
 public:
  const KernelTable* kernels = nullptr;
  int64_t sequences = 1, heads = 1, queries = 1, keys = 1;  // queries, keys: of one sequence
  int64_t depth = 1, value_depth = 1;                       // channels of a head
  float scale = 1;
  std::optional<float> unattended;
  int tile = 1;  // query vectors of a unit
  LaneTensor q, k, v, y;
  std::optional<AttentionMask> mask;
  bool mask_replaces = false;
  TensorRef scratch;  // scratch_floats() for each chunk

  int64_t units() const { return sequences * heads * tiles(); }
  int64_t slots() const;  // of keys, wherever in a vector their sequence begins
  virtual int64_t scratch_floats() const = 0;
  void run(int chunk, const Frame& frame) const noexcept final;

 private:
  struct Sequence {
    int64_t index, head;
  };
  // A new head's keys, then each tile of its queries. The scores' place is where a mask is put.
  virtual void prepare(const AttentionKeys& now, float* memory) const noexcept = 0;
  virtual float* scores_in(const AttentionKeys& now, float* memory) const noexcept = 0;
  virtual void attend(const AttentionKeys& now, const AttentionQueries& block, float* memory) const noexcept = 0;
  // Channels that a vector of a lane tensor holds: one, or of bytes four. Of the operands, and of the result.
  virtual int64_t channels_of_vector() const = 0;
  virtual int64_t result_channels_of_vector() const { return channels_of_vector(); }

  // Query tiles of a sequence, wherever in a vector it begins; the last may be empty.
  int64_t tiles() const;
  AttentionKeys keys_of(Sequence sequence, const Frame& frame) const noexcept;
  AttentionQueries queries_of(Sequence sequence, int64_t tile_index, const Frame& frame) const noexcept;
  void put_mask(Sequence sequence, int64_t tile_index, int vectors, const Frame& frame, AttentionKeys* now,
                float* memory) const noexcept;
  void load_rows(int64_t first_query, int vectors, const float* from, float* to) const noexcept;
  int64_t first_vector(Sequence sequence, int64_t tile_index) const noexcept {
    return sequence.index * queries / kLanes + tile_index * tile;
  }
  // Vectors: those of the channels before the head.
  static float* head_of(const LaneTensor& tensor, int64_t vector, int64_t vectors, const Frame& frame) noexcept {
    return frame.at(tensor.ref) + vector * tensor.group_stride() + vectors * kLanes;
  }
};

class FloatAttentionStep final : public AttentionStep {
 public:
  int64_t scratch_floats() const override { return slots() * tile * kLanes; }

 private:
  void prepare(const AttentionKeys&, float*) const noexcept override {}
  float* scores_in(const AttentionKeys&, float* memory) const noexcept override { return memory; }
  void attend(const AttentionKeys& now, const AttentionQueries& block, float* memory) const noexcept override {
    kernels->attention(now, block, memory);
  }
  int64_t channels_of_vector() const override { return 1; }
};

class ByteAttentionStep final : public AttentionStep {
 public:
  AttentionBytes bytes;
  // Of a softmax of bytes: 256 entries each, or none of the last two.
  void set_tables(std::vector<float> powers, std::vector<float> score_table, std::vector<float> weight_table) {
    tables_ = {std::move(powers), std::move(score_table), std::move(weight_table)};
    const auto table = [this](size_t i) { return tables_[i].empty() ? nullptr : tables_[i].data(); };
    bytes.softmax.powers = table(0);
    bytes.softmax.score_table = table(1);
    bytes.softmax.weight_table = table(2);
  }
  int64_t scratch_floats() const override {
    return round_up(AttentionScratch::floats(slots(), depth, value_depth, tile), kLanes);
  }

 private:
  AttentionScratch scratch_in(const AttentionKeys& now, float* memory) const noexcept {
    return {memory, now.slots(), depth, value_depth, tile};
  }
  void prepare(const AttentionKeys& now, float* memory) const noexcept override {
    kernels->quantized->prepare_attention(now, bytes, scratch_in(now, memory));
  }
  float* scores_in(const AttentionKeys& now, float* memory) const noexcept override {
    return scratch_in(now, memory).scores;
  }
  void attend(const AttentionKeys& now, const AttentionQueries& block, float* memory) const noexcept override {
    kernels->quantized->attend(now, bytes, block, scratch_in(now, memory));
  }
  int64_t channels_of_vector() const override { return 4; }
  int64_t result_channels_of_vector() const override { return bytes.float_output ? 1 : 4; }

  std::array<std::vector<float>, 3> tables_;
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
