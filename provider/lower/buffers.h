// The buffers of a Program: those that are alive at different steps share memory.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "run/program.h"

namespace sparsecpu {

class Buffers {
 public:
  int add(int64_t elements, int64_t element_bytes);  // in the arena
  int input(size_t index) { return fixed(BufferPlace::Kind::kInput, index); }
  int output(size_t index) { return fixed(BufferPlace::Kind::kOutput, index); }
  int constant(const void* data);        // that lives as long as the Region
  int constant(AlignedBuffer expanded);  // that the Program keeps
  // Of every worker for itself; index < kWorkerBuffers. With room for at least so many floats.
  int worker(size_t index);
  void widen_worker(size_t index, int64_t floats);

  bool is_output(int buffer, size_t index) const;
  // Steps are used in order.
  void use(int buffer, int step);
  // Threads share its channels, not its positions.
  void set_by_channel(int buffer, bool by_channel) { at(buffer).by_channel = by_channel; }

  // Places all of them, and gives the Program what it needs to find them.
  void finish(Program* program);

 private:
  struct Buffer {
    BufferPlace place;
    int64_t bytes = 0;
    int first_step = -1, last_step = -1;
    bool by_channel = false;
  };
  struct Worker {
    int buffer = -1;
    int64_t floats = 0;
  };
  Buffer& at(int buffer) { return buffers_[static_cast<size_t>(buffer)]; }
  int fixed(BufferPlace::Kind kind, size_t index);
  static int64_t place_of(const Buffer& buffer, const std::vector<const Buffer*>& placed);
  int64_t place_arena();

  std::vector<Buffer> buffers_;
  std::array<Worker, kWorkerBuffers> workers_;
  std::vector<const void*> constants_;
  std::vector<AlignedBuffer> expanded_;
};

}  // namespace sparsecpu
