#include "kernels/jit/code_memory.h"

#include <sys/mman.h>

#include <new>
#include <utility>

namespace sparsecpu {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

CodeMemory::CodeMemory(size_t bytes) {
  if (bytes == 0) return;
  // Large code gets whole huge pages: straight-line code misses the instruction TLB at every 4 KiB page.
  const size_t unit = bytes >= kHugePage ? kHugePage : size_t{4096};
  const size_t size = (bytes + unit - 1) / unit * unit;
  void* raw = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<uint8_t*>(raw);
  bytes_ = size;
  if (unit == kHugePage) madvise(raw, size, MADV_HUGEPAGE);
}

CodeMemory::CodeMemory(CodeMemory&& other) noexcept { *this = std::move(other); }

CodeMemory& CodeMemory::operator=(CodeMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

CodeMemory::~CodeMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

bool CodeMemory::seal() { return data_ == nullptr || mprotect(data_, bytes_, PROT_READ | PROT_EXEC) == 0; }

bool CodeMemory::allowed() {
  static const bool value = [] {
    try {
      return CodeMemory(1).seal();
    } catch (const std::bad_alloc&) {
      return false;
    }
  }();
  return value;
}

}  // namespace sparsecpu
