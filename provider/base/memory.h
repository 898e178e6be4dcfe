// Aligned memory and size arithmetic that cannot overflow silently.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/error.h"

namespace sparsecpu {

constexpr size_t kCacheLine = 64;

// a*b and a+b of sizes and counts; throw Error when the result does not fit int64_t.
inline int64_t checked_mul(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_mul_overflow(a, b, &result)) throw Error("size overflow: a tensor or buffer is larger than 2^63 bytes");
  return result;
}
inline int64_t checked_add(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_add_overflow(a, b, &result)) throw Error("size overflow: a tensor or buffer is larger than 2^63 bytes");
  return result;
}
constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t multiple) { return ceil_div(a, multiple) * multiple; }

// Uninitialised memory aligned to 64 bytes (to 2 MiB with transparent huge pages from 1 MiB up), never
// less than 64 readable bytes past the end, so that a vector load at the last element stays inside.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t bytes);  // throws std::bad_alloc
  AlignedBuffer(AlignedBuffer&& other) noexcept { *this = std::move(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer();

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace sparsecpu
