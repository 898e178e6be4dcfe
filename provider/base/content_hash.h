// A strong hash of content, by which packed weights are found again.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace sparsecpu {

using Digest = std::array<uint64_t, 2>;

// NH of blocks of 1 KiB (Black and others, UMAC, 1999), then two polynomials modulo 2^61 - 1 of the blocks' hashes. Its
// keys are drawn when the process starts, so whatever two contents are, whoever made them, they collide with a
// probability below 2^-60: there is no need to keep the content and compare.
class ContentHash {
 public:
  ContentHash& add_bytes(const void* data, size_t bytes);
  template <class T>
  ContentHash& add(const T& value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);  // no padding
    return add_bytes(&value, sizeof value);
  }
  Digest digest() const { return sums_; }

 private:
  void add_word(uint64_t word);

  Digest sums_{1, 1};
};

}  // namespace sparsecpu
