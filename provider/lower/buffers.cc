#include "lower/buffers.h"

#include <algorithm>
#include <numeric>

namespace sparsecpu {
namespace {

constexpr auto kLine = static_cast<int64_t>(kCacheLine);

}  // namespace

int Buffers::add(int64_t elements, int64_t element_bytes) {
  Buffer buffer;
  buffer.bytes = round_up(checked_mul(elements, element_bytes), kLine) + kLine;
  buffers_.push_back(buffer);
  return static_cast<int>(buffers_.size()) - 1;
}

int Buffers::fixed(BufferPlace::Kind kind, size_t index) {
  Buffer buffer;
  buffer.place = {kind, index, 0, 0};
  buffers_.push_back(buffer);
  return static_cast<int>(buffers_.size()) - 1;
}

int Buffers::constant(const void* data) {
  constants_.push_back(data);
  return fixed(BufferPlace::Kind::kConstant, constants_.size() - 1);
}

int Buffers::constant(AlignedBuffer expanded) {
  expanded_.push_back(std::move(expanded));
  return constant(expanded_.back().data());
}

int Buffers::worker(size_t index) {
  Worker& own = workers_[index];
  if (own.buffer < 0) own.buffer = fixed(BufferPlace::Kind::kWorker, 0);
  return own.buffer;
}

void Buffers::widen_worker(size_t index, int64_t floats) {
  workers_[index].floats = std::max(workers_[index].floats, floats);
}

bool Buffers::is_output(int buffer, size_t index) const {
  const BufferPlace& place = buffers_[static_cast<size_t>(buffer)].place;
  return place.kind == BufferPlace::Kind::kOutput && place.index == index;
}

void Buffers::use(int index, int step) {
  Buffer& buffer = at(index);
  if (buffer.first_step < 0) buffer.first_step = step;
  buffer.last_step = step;
}

// Where a buffer may lie while others are alive, so that a core overwrites what it wrote itself: a line that another
// core has written takes several times as long. Threads share a tensor's positions in order, so tensors with a common
// middle suit two cores; tensors whose channels are shared lie apart from those.
int64_t Buffers::place_of(const Buffer& buffer, const std::vector<const Buffer*>& placed) {
  const auto in_the_way = [&](const Buffer& other, int64_t offset) {
    const bool together = other.first_step <= buffer.last_step && buffer.first_step <= other.last_step;
    return (together || other.by_channel != buffer.by_channel) && offset + buffer.bytes > other.place.offset &&
           other.place.offset + other.bytes > offset;
  };
  for (const Buffer* larger : placed) {
    const int64_t offset = larger->place.offset + (larger->bytes - buffer.bytes) / 2 / kLine * kLine;
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

// Largest first. The bytes that they take together.
int64_t Buffers::place_arena() {
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
  return arena;
}

void Buffers::finish(Program* program) {
  const int64_t arena = place_arena();
  for (const Worker& own : workers_) {
    if (own.buffer < 0) continue;
    at(own.buffer).place.offset = arena + program->worker_floats * static_cast<int64_t>(sizeof(float));
    program->worker_floats += round_up(own.floats, kLine);
    program->worker_buffers.push_back(own.buffer);
  }
  for (const Buffer& buffer : buffers_) program->buffers.push_back(buffer.place);
  const int64_t own = checked_mul(program->worker_floats, program->workers * static_cast<int64_t>(sizeof(float)));
  program->arena_bytes = static_cast<size_t>(checked_add(arena, own));
  for (const AlignedBuffer& expanded : expanded_) program->plan_bytes += expanded.bytes();
  program->constants = std::move(constants_);
  program->expanded = std::move(expanded_);
}

}  // namespace sparsecpu
