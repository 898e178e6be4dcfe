#include "base/content_hash.h"

#include <algorithm>
#include <cstring>
#include <random>

namespace sparsecpu {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr uint64_t kPrime = (uint64_t{1} << 61) - 1;
constexpr size_t kBlockWords = 128;

struct Keys {
  std::array<uint64_t, kBlockWords> block;
  Digest base;

  Keys() {
    std::random_device device;
    const auto draw = [&] { return uint64_t{device()} << 32 | device(); };
    std::generate(block.begin(), block.end(), draw);
    for (uint64_t& b : base) b = draw() % kPrime;
  }
};

const Keys& keys() {
  static const Keys drawn;
  return drawn;
}

uint64_t reduced(Wide x) {
  const uint64_t folded = static_cast<uint64_t>(x & kPrime) + static_cast<uint64_t>(x >> 61);
  return folded >= kPrime ? folded - kPrime : folded;
}

}  // namespace

void ContentHash::add_word(uint64_t word) {
  const Keys& k = keys();
  for (size_t i = 0; i < sums_.size(); ++i) {
    // A word has 64 bits, the field 61: its halves are two coefficients.
    sums_[i] = reduced(Wide{sums_[i]} * k.base[i] + (word >> 32));
    sums_[i] = reduced(Wide{sums_[i]} * k.base[i] + (word & 0xffffffffu));
  }
}

// The length first: so no content continues another, and the zeros that fill the last block mean nothing.
ContentHash& ContentHash::add_bytes(const void* data, size_t bytes) {
  const Keys& k = keys();
  add_word(bytes);
  const auto* at = static_cast<const std::byte*>(data);
  while (bytes > 0) {
    uint64_t words[kBlockWords];
    const size_t now = std::min(bytes, sizeof words), used = (now + 15) / 16 * 2;
    words[used - 1] = words[used - 2] = 0;
    std::memcpy(words, at, now);
    Wide sum = 0;
    for (size_t i = 0; i < used; i += 2) sum += Wide{words[i] + k.block[i]} * (words[i + 1] + k.block[i + 1]);
    add_word(static_cast<uint64_t>(sum));
    add_word(static_cast<uint64_t>(sum >> 64));
    at += now;
    bytes -= now;
  }
  return *this;
}

}  // namespace sparsecpu
