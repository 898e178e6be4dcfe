// Buffers: those that are alive at different steps share memory.
#include <algorithm>
#include <numeric>

#include "lower/planner.h"

namespace sparsecpu {

Planner::Planner(const OpGraph& graph, const std::vector<Stage>& stages, const LayerPacks& packs,
                 const KernelTable& kernels, int workers)
    : graph_(graph), stages_(stages), packs_(packs), kernels_(kernels), workers_(workers) {}

std::unique_ptr<const Program> Planner::plan(const Part& part) {
  part_ = part;
  program_ = std::make_unique<Program>();
  program_->workers = workers_;
  values_.assign(graph_.values.size(), {});
  for (size_t v = 0; v < values_.size(); ++v) {
    const OpValue& declared = graph_.values[v];
    values_[v].type = declared.type;
    if (declared.constant.empty()) continue;
    values_[v].shape = declared.dims;
    values_[v].dense_buffer = constant_buffer(declared.constant.data());
  }
  find_shapes();
  for (size_t i = 0; i < part.inputs.size(); ++i) {
    at(part.inputs[i]).dense_buffer = fixed_buffer(BufferPlace::Kind::kInput, i);
  }
  for (size_t i = 0; i < part.outputs.size(); ++i) at(part.outputs[i]).region_output = static_cast<int>(i);
  find_forms();
  emit_stages();
  emit_outputs();
  place_buffers();
  return std::move(program_);
}

int Planner::constant_buffer(const void* data) {
  program_->constants.push_back(data);
  return fixed_buffer(BufferPlace::Kind::kConstant, program_->constants.size() - 1);
}

void Planner::emit_stages() {
  emitted_.assign(stages_.size(), false);
  for (size_t s = part_.begin; s < part_.end; ++s) {
    if (emitted_[s]) continue;
    stage_ = static_cast<int>(s);
    const ChainKind chain = chain_of(s);
    if (chain == ChainKind::kNone) {
      emit_stage(s);
    } else {
      s += emit_chain(chain, s) - 1;
    }
  }
}

int Planner::new_buffer(int64_t elements, int64_t element_bytes) {
  Buffer buffer;
  buffer.bytes = round_up(checked_mul(elements, element_bytes), kCacheLine) + kCacheLine;
  buffers_.push_back(buffer);
  return static_cast<int>(buffers_.size()) - 1;
}

void Planner::use_buffer(int index, int step) {
  Buffer& buffer = buffers_[static_cast<size_t>(index)];
  if (buffer.first_step < 0) buffer.first_step = step;
  buffer.last_step = step;
}

int Planner::fixed_buffer(BufferPlace::Kind kind, size_t index) {
  Buffer buffer;
  buffer.place = {kind, index, 0};
  buffers_.push_back(buffer);
  return static_cast<int>(buffers_.size()) - 1;
}

// Where a buffer may lie while others are alive, so that a core overwrites what it wrote itself: a line that another
// core has written takes several times as long. Threads share a tensor's positions in order, so tensors with a common
// middle suit two cores; tensors whose channels are shared lie apart from those.
int64_t Planner::place_of(const Buffer& buffer, const std::vector<const Buffer*>& placed) {
  const auto in_the_way = [&](const Buffer& other, int64_t offset) {
    const bool together = other.first_step <= buffer.last_step && buffer.first_step <= other.last_step;
    return (together || other.by_channel != buffer.by_channel) && offset + buffer.bytes > other.place.offset &&
           other.place.offset + other.bytes > offset;
  };
  for (const Buffer* larger : placed) {
    const int64_t offset = larger->place.offset + (larger->bytes - buffer.bytes) / 2 / kCacheLine * kCacheLine;
    if (larger->bytes < buffer.bytes) continue;
    if (std::none_of(placed.begin(), placed.end(), [&](const Buffer* other) { return in_the_way(*other, offset); })) {
      return offset;
    }
  }
  int64_t offset = 0;
  for (const Buffer* other : placed) {
    if (in_the_way(*other, offset)) offset = other->place.offset + other->bytes;
  }
  return offset;
}

// Largest first.
void Planner::place_buffers() {
  std::vector<size_t> order(buffers_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return buffers_[a].bytes > buffers_[b].bytes; });
  std::vector<const Buffer*> placed;  // by offset
  int64_t arena = 0;
  for (size_t i : order) {
    Buffer& buffer = buffers_[i];
    if (buffer.place.kind != BufferPlace::Kind::kArena || buffer.first_step < 0) continue;
    const int64_t offset = buffer.place.offset = place_of(buffer, placed);
    buffer.place.bytes = buffer.bytes;
    arena = std::max(arena, checked_add(offset, buffer.bytes));
    const auto after = std::upper_bound(placed.begin(), placed.end(), offset,
                                        [](int64_t o, const Buffer* b) { return o < b->place.offset; });
    placed.insert(after, &buffer);
  }
  for (const WorkerBuffer& own : worker_buffers_) {
    if (own.buffer == kNone) continue;
    buffers_[static_cast<size_t>(own.buffer)].place.offset = arena + program_->worker_floats * 4;
    program_->worker_floats += round_up(own.floats, kCacheLine);
    program_->worker_buffers.push_back(own.buffer);
  }
  for (const Buffer& buffer : buffers_) program_->buffers.push_back(buffer.place);
  arena = checked_add(arena, checked_mul(program_->worker_floats, workers_ * static_cast<int64_t>(sizeof(float))));
  program_->arena_bytes = static_cast<size_t>(arena);
}

// Enough chunks for every thread to help its neighbours, none smaller than about a microsecond of work.
int Planner::chunks_for(int64_t units, int64_t floats_per_unit) const {
  constexpr int64_t kMinFloats = 8 * 1024;
  const int64_t worth = units * floats_per_unit / kMinFloats;
  return static_cast<int>(even_chunks(std::clamp<int64_t>(worth, 1, std::clamp<int64_t>(units, 1, most_chunks()))));
}

// As many for every worker, so that it finds in its cache what it wrote there in the step before: a line that another
// core has written costs more than the arithmetic on it.
int64_t Planner::even_chunks(int64_t most) const { return most < workers_ ? 1 : most / workers_ * workers_; }

}  // namespace sparsecpu
