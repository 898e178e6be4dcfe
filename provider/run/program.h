// A Program: steps that compute (a part of) a region for one set of input shapes, and the memory they need.
// Read-only once planned; any number of calls may execute it at once, each with a Frame of its own.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/memory.h"

namespace sparsecpu {

// Buffers that every worker has for itself.
constexpr int kWorkerBuffers = 2;

// Where a step finds a tensor: a buffer of the Program plus a distance in floats.
struct TensorRef {
  int buffer = 0;
  int64_t offset = 0;
};

struct BufferPlace {
  enum class Kind { kArena, kWorker, kInput, kOutput, kConstant } kind = Kind::kArena;
  size_t index = 0;    // of the Program's input or output, or of Program::constants
  int64_t offset = 0;  // kArena, kWorker (the first worker's): bytes
  int64_t bytes = 0;   // kArena: 0 if no step uses it
};

// Buffers are addressed in floats, also where they hold bytes.
inline const uint8_t* bytes_of(const float* p) { return reinterpret_cast<const uint8_t*>(p); }
inline uint8_t* bytes_of(float* p) { return reinterpret_cast<uint8_t*>(p); }

// One call's addresses: one pointer a buffer.
class Frame {
 public:
  explicit Frame(const std::vector<float*>& buffers) : buffers_(buffers.data()) {}
  float* at(TensorRef ref) const {
    for (const Moved& moved : moved_) {
      if (moved.buffer == ref.buffer) return moved.to + ref.offset;
    }
    return buffers_[ref.buffer] + ref.offset;
  }
  // The same, but one buffer lies elsewhere. Of at most kWorkerBuffers buffers.
  Frame with(int buffer, float* address) const {
    Frame frame = *this;
    Moved* moved = frame.moved_;
    while (moved->buffer >= 0 && moved->buffer != buffer) ++moved;
    *moved = {buffer, address};
    return frame;
  }

 private:
  struct Moved {
    int buffer = -1;
    float* to = nullptr;
  };
  float* const* buffers_;
  Moved moved_[kWorkerBuffers];
};

// What a step does that computes nothing, only brings a value into the form that an Op needs.
enum class LayoutChange { kNone, kImport, kExport, kRelayout, kHalo, kCopy };
constexpr int kLayoutChanges = 6;
const char* layout_change_name(LayoutChange change);

// One dependent stage: `chunks` independent pieces of work.
class Step {
 public:
  virtual ~Step() = default;
  virtual void run(int chunk, const Frame& frame) const noexcept = 0;
  // Brings nearer what `chunk` reads first of the model's constants: called while other workers still run the step
  // before.
  virtual void prefetch(int) const noexcept {}
  int chunks = 1;
  int op = -1;  // index of the Op that it computes first, or whose input or output it brings into form
  // Of Ops computed together: the others, each with the share of the multiplications that is its.
  struct OpShare {
    int op;
    double share;
  };
  std::vector<OpShare> other_ops;
  LayoutChange layout = LayoutChange::kNone;
  std::string kernel;  // "spmm", "dense", "permute", ...
};

struct Program {
  int workers = 1;  // that walk the steps together
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<BufferPlace> buffers;
  size_t arena_bytes = 0;               // aligned to 64
  std::vector<const void*> constants;   // of the model, which live as long as the Region, or of `expanded`
  std::vector<AlignedBuffer> expanded;  // constants as lanes
  size_t plan_bytes = 0;                // of the large tables that the steps hold
  // Scratch memory that belongs to one worker for all its chunks, so that it stays in its core's cache: up to
  // kWorkerBuffers buffers, and the distance from one worker's to the next's.
  std::vector<int> worker_buffers;
  int64_t worker_floats = 0;
};

// Where each buffer lies. Inputs and outputs are row-major tensors; inputs are only read.
std::vector<float*> buffer_addresses(const Program& program, std::byte* arena, const std::vector<const void*>& inputs,
                                     const std::vector<void*>& outputs);
// The same with another arena.
void move_arena(const Program& program, std::byte* arena, std::vector<float*>* addresses);

}  // namespace sparsecpu
