#include "run/token_steps.h"

#include <algorithm>
#include <cstring>

#include "base/memory.h"

namespace sparsecpu {

bool MaskStep::is_masked(int64_t i, const Frame& frame) const noexcept {
  const auto* bools = reinterpret_cast<const uint8_t*>(frame.at(x));
  const auto* integers = reinterpret_cast<const int32_t*>(frame.at(x));
  switch (kind) {
    case MaskKind::kKeeps:
      return bools[i] == 0;
    case MaskKind::kDrops:
      return bools[i] != 0;
    case MaskKind::kPadding:
      return integers[i] <= 0;
    case MaskKind::kLengths:
      return i % keys >= integers[i / keys] || (starts > 0 && i % keys < integers[starts + i / keys]);
    case MaskKind::kNone:
    case MaskKind::kAdded:
      break;
  }
  return false;
}

void MaskStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(count, chunk, chunks);
  float* to = frame.at(y);
  for (int64_t i = share.begin; i < share.end; ++i) to[i] = is_masked(i, frame) ? masked : 0.0f;
}

int64_t AttentionStep::slots() const {
  const bool aligned = keys % kLanes == 0 || sequences == 1;
  return round_up(aligned ? keys : keys + kLanes - 1, kLanes);
}

int64_t AttentionStep::tiles() const {
  const bool aligned = queries % kLanes == 0 || sequences == 1;
  return ceil_div(ceil_div(aligned ? queries : queries + kLanes - 1, kLanes), tile);
}

AttentionKeys AttentionStep::keys_of(Sequence sequence, const Frame& frame) const noexcept {
  const int64_t first = sequence.index * keys;
  AttentionKeys now;
  now.keys = keys;
  now.depth = depth;
  now.value_depth = value_depth;
  now.first_lane = static_cast<int>(first % kLanes);
  now.k = head_of(k, first / kLanes, sequence.head * depth / channels_of_vector(), frame);
  now.v = head_of(v, first / kLanes, sequence.head * value_depth / channels_of_vector(), frame);
  now.k_stride = k.group_stride();
  now.v_stride = v.group_stride();
  now.scale = scale;
  now.mask_replaces = mask_replaces;
  now.zero_unattended = unattended.has_value();
  if (unattended) now.unattended = *unattended;
  return now;
}

AttentionQueries AttentionStep::queries_of(Sequence sequence, int64_t tile_index, const Frame& frame) const noexcept {
  const int64_t begin = sequence.index * queries, end = begin + queries;
  const int64_t first = first_vector(sequence, tile_index);
  AttentionQueries now;
  for (int i = 0; i < tile && (first + i) * kLanes < end; ++i) {
    const int64_t vector = first + i;
    const int64_t skipped = std::max<int64_t>(0, begin - vector * kLanes);
    const int64_t used = std::min<int64_t>(kLanes, end - vector * kLanes);
    now.q[i] = head_of(q, vector, sequence.head * depth / channels_of_vector(), frame);
    now.y[i] = head_of(y, vector, sequence.head * value_depth / result_channels_of_vector(), frame);
    now.lanes[i] = static_cast<uint16_t>((1u << used) - (1u << skipped));
    now.vectors = i + 1;
  }
  return now;
}

// A mask that all queries share stays as it is; another becomes the first content of the scores.
void AttentionStep::put_mask(Sequence sequence, int64_t tile_index, int vectors, const Frame& frame, AttentionKeys* now,
                             float* memory) const noexcept {
  const float* from = frame.at(mask->ref) + sequence.index * mask->step[0] + sequence.head * mask->step[1];
  if (mask->step[2] == 0 && mask->step[3] != 0) {
    now->key_mask = from;
    return;
  }
  now->masked_scores = true;
  const int64_t first_query = first_vector(sequence, tile_index) * kLanes - sequence.index * queries;
  load_rows(first_query, vectors, from, scores_in(*now, memory) + now->first_lane * vectors * kLanes);
}

// The mask's rows of 16 queries a vector, to lanes.
void AttentionStep::load_rows(int64_t first_query, int vectors, const float* from, float* to) const noexcept {
  const int64_t row_length = mask->step[3] == 0 ? 1 : keys;
  for (int i = 0; i < vectors; ++i, to += kLanes) {
    const float* rows[kLanes] = {};
    int64_t lengths[kLanes] = {};
    for (int64_t l = 0; l < kLanes; ++l) {
      const int64_t query = first_query + i * kLanes + l;
      if (query < 0 || query >= queries) continue;
      rows[l] = from + query * mask->step[2];
      lengths[l] = row_length;
    }
    kernels->load_rows({lengths, row_length, vectors * kLanes}, rows, 0, to);
    for (int64_t j = row_length; j < keys; ++j) std::memcpy(to + j * vectors * kLanes, to, kLanes * sizeof(float));
  }
}

void AttentionStep::run(int chunk, const Frame& frame) const noexcept {
  const Share share = share_of(units(), chunk, chunks);
  float* memory = frame.at(scratch) + chunk * scratch_floats();
  int64_t prepared = -1;
  for (int64_t unit = share.begin; unit < share.end; ++unit) {
    const int64_t tile_index = unit % tiles(), head = unit / tiles();
    const Sequence sequence{head / heads, head % heads};
    const AttentionQueries block = queries_of(sequence, tile_index, frame);
    if (block.vectors == 0) continue;
    AttentionKeys now = keys_of(sequence, frame);
    if (head != prepared) prepare(now, memory);
    prepared = head;
    if (mask) put_mask(sequence, tile_index, block.vectors, frame, &now, memory);
    attend(now, block, memory);
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
