#include "base/memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <limits>
#include <new>

namespace sparsecpu {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kHugeFrom = size_t{1} << 20;
constexpr size_t kReadableTail = 64;

}  // namespace

AlignedBuffer::AlignedBuffer(size_t bytes) : bytes_(bytes) {
  // The last line is rounded up too, so that the size stays a multiple of the alignment.
  if (bytes > std::numeric_limits<size_t>::max() / 2) throw std::bad_alloc();
  const size_t total = (bytes + kReadableTail + kCacheLine - 1) / kCacheLine * kCacheLine;
  const size_t alignment = bytes >= kHugeFrom ? kHugePage : kCacheLine;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, total) != 0) throw std::bad_alloc();
  // Only advice: without it, or where the system refuses it, the memory works the same.
  if (alignment == kHugePage) madvise(memory, total, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(memory);
}

AlignedBuffer::~AlignedBuffer() { std::free(data_); }

}  // namespace sparsecpu
