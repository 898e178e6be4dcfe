#include "run/token_steps.h"

#include <algorithm>
#include <cstring>

#include "base/memory.h"

namespace sparsecpu {

void RowNormStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(tokens, chunk, chunks);
  const int64_t channels = static_cast<int64_t>(parameters.scale.size());
  for (int64_t t = share.begin; t < share.end; ++t) {
    kernels->layer_norm_row(parameters.scale.data(), parameters.shift.data(), parameters.epsilon,
                            frame.at(x) + t * channels, frame.at(y) + t * channels, channels);
  }
}

void BoolMaskStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(count, chunk, chunks);
  const auto* from = reinterpret_cast<const uint8_t*>(frame.at(x));
  float* to = frame.at(y);
  for (int64_t i = share.begin; i < share.end; ++i) to[i] = (from[i] != 0) == drops ? masked : 0.0f;
}

int64_t AttentionStep::tiles() const {
  const int64_t most_vectors = ceil_div(queries + kLanes - 1, kLanes);
  return ceil_div(queries % kLanes == 0 ? queries / kLanes : most_vectors, kernels->attention_tile);
}

int64_t AttentionStep::scores_floats() const {
  return round_up(keys + kLanes - 1, kLanes) * kernels->attention_tile * kLanes;
}

AttentionKeys AttentionStep::keys_of(Sequence sequence, const Frame& frame) const noexcept {
  const int64_t first = sequence.index * keys;
  AttentionKeys now;
  now.keys = keys;
  now.depth = depth;
  now.value_depth = value_depth;
  now.first_lane = static_cast<int>(first % kLanes);
  now.k = frame.at(k.ref) + first / kLanes * k.group_stride() + sequence.head * depth * kLanes;
  now.v = frame.at(v.ref) + first / kLanes * v.group_stride() + sequence.head * value_depth * kLanes;
  now.k_stride = k.group_stride();
  now.v_stride = v.group_stride();
  now.scale = scale;
  now.zero_nan = zero_nan;
  return now;
}

AttentionQueries AttentionStep::queries_of(Sequence sequence, int64_t tile, const Frame& frame) const noexcept {
  const int64_t begin = sequence.index * queries, end = begin + queries;
  const int64_t first = first_vector(sequence.index, tile);
  AttentionQueries now;
  for (int i = 0; i < kernels->attention_tile && (first + i) * kLanes < end; ++i) {
    const int64_t vector = first + i;
    const int64_t skipped = std::max<int64_t>(0, begin - vector * kLanes);
    const int64_t used = std::min<int64_t>(kLanes, end - vector * kLanes);
    now.q[i] = frame.at(q.ref) + vector * q.group_stride() + sequence.head * depth * kLanes;
    now.y[i] = frame.at(y.ref) + vector * y.group_stride() + sequence.head * value_depth * kLanes;
    now.lanes[i] = static_cast<uint16_t>((1u << used) - (1u << skipped));
    now.vectors = i + 1;
  }
  return now;
}

// The mask's rows of the queries in a tile become lanes of the scores.
void AttentionStep::load_mask(Sequence sequence, int64_t tile, const AttentionKeys& now, int vectors, const float* from,
                              float* to) const noexcept {
  const int64_t first = first_vector(sequence.index, tile) * kLanes - sequence.index * queries;
  for (int i = 0; i < vectors; ++i) {
    float* target = to + (now.first_lane * vectors + i) * kLanes;
    const float* rows[kLanes] = {};
    int64_t lengths[kLanes] = {};
    for (int64_t l = 0; l < kLanes; ++l) {
      const int64_t query = first + i * kLanes + l;
      if (query < 0 || query >= queries) continue;
      rows[l] = from + query * mask->step[2];
      lengths[l] = mask->step[3] == 0 ? 1 : keys;
    }
    if (mask->step[3] != 0) {
      kernels->load_rows(rows, lengths, keys, 0, target, vectors * kLanes);
      continue;
    }
    kernels->load_rows(rows, lengths, 1, 0, target, vectors * kLanes);
    for (int64_t j = 1; j < keys; ++j) std::memcpy(target + j * vectors * kLanes, target, kLanes * sizeof(float));
  }
}

void AttentionStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(units(), chunk, chunks);
  float* scratch = frame.at(scores) + chunk * scores_floats();
  const float* mask_base = mask ? frame.at(mask->ref) : nullptr;
  for (int64_t unit = share.begin; unit < share.end; ++unit) {
    const int64_t tile = unit % tiles();
    const Sequence sequence{unit / tiles() / heads, unit / tiles() % heads};
    const AttentionQueries block = queries_of(sequence, tile, frame);
    if (block.vectors == 0) continue;
    AttentionKeys now = keys_of(sequence, frame);
    if (mask) {
      const float* from = mask_base + sequence.index * mask->step[0] + sequence.head * mask->step[1];
      if (mask->step[2] == 0 && mask->step[3] != 0) {
        now.key_mask = from;
      } else {
        now.masked_scores = true;
        load_mask(sequence, tile, now, block.vectors, from, scratch);
      }
    }
    kernels->attention(now, block, scratch);
  }
}

void SelectTokenStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(sequences, chunk, chunks);
  for (int64_t i = share.begin; i < share.end; ++i) {
    const int64_t token = i * tokens + index;
    float* to = frame.at(y) + i * channels;
    if (!lanes) {
      std::memcpy(to, frame.at(rows) + token * channels, static_cast<size_t>(channels) * sizeof(float));
      continue;
    }
    const float* from = frame.at(lanes->ref) + token / kLanes * lanes->group_stride() + token % kLanes;
    for (int64_t c = 0; c < channels; ++c) to[c] = from[c * kLanes];
  }
}

}  // namespace sparsecpu
