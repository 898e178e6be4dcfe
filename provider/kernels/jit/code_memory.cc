#include "kernels/jit/code_memory.h"

#include <sys/mman.h>

#include <utility>

namespace sparsecpu {
namespace {

constexpr size_t kPage = 4096, kHugePage = size_t{2} << 20;

// Null if the system refuses it.
uint8_t* map(size_t bytes) {
  void* raw = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return raw == MAP_FAILED ? nullptr : static_cast<uint8_t*>(raw);
}

void unmap(uint8_t* data, size_t bytes) {
  if (bytes > 0) munmap(data, bytes);
}

// `bytes`, a multiple of a huge page's, at such a multiple: the kernel does not align by itself before 6.7.
uint8_t* map_huge(size_t bytes) {
  uint8_t* raw = map(bytes + kHugePage);
  if (raw == nullptr) return nullptr;
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(raw) % kHugePage) % kHugePage;
  unmap(raw, before);
  unmap(raw + before + bytes, kHugePage - before);
  madvise(raw + before, bytes, MADV_HUGEPAGE);
  return raw + before;
}

size_t whole(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

CodeMemory::CodeMemory(size_t bytes) {
  if (bytes == 0) return;
  // Large code gets whole huge pages: straight-line code misses the instruction TLB at every 4 KiB page.
  const bool huge = bytes >= kHugePage;
  bytes_ = whole(bytes, huge ? kHugePage : kPage);
  data_ = huge ? map_huge(bytes_) : map(bytes_);
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

bool CodeMemory::seal() { return bytes_ == 0 || mprotect(data_, bytes_, PROT_READ | PROT_EXEC) == 0; }

bool CodeMemory::allowed() {
  static const bool value = [] {
    CodeMemory memory(1);
    return memory.data() != nullptr && memory.seal();
  }();
  return value;
}

}  // namespace sparsecpu
