// Emits the routines that end generated int8 code: a block's int32 sums, in registers, become bytes of the output.
//
// A block's last segment jumps to such a routine; which one, and what it needs, code finds in a JitFinish: so segments
// are the same for every output, and blocks of as many rows share a routine. The arithmetic is that of
// kernels/impl/qoutput.h with fewer instructions: adding kRounding rounds a small float to nearest even and leaves the
// integer in its last bits, where integer instructions clamp it; saturating packs clamp the results.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/quantized.h"

namespace sparsecpu {

// 1.5 * 2^23: floats near it are integers.
constexpr float kRounding = 12582912.0f;

// What int8 code reads besides its inputs. One a chunk of work: it changes from block to block, `y` from position to
// position.
struct JitFinish {
  alignas(64) int16_t zero_point[32];  // of the product, as stored
  const uint8_t* lookup = nullptr;     // 256 entries
  const void* routine = nullptr;
  const int32_t* bias = nullptr;      // of the block's rows, in whole quads
  const float* multiplier = nullptr;  // likewise
  float* y = nullptr;                 // bytes of the block's first row
  float a_ratio = 0, b_ratio = 0, shift = 0;
  // Of sums: kRounding, the bits of its sum with the least and with the largest product, and what turns such a sum into
  // the stored product.
  float rounding = kRounding;
  int32_t lowest = 0, highest = 0;
  float stored = 0;

  void set_zero_point(int zero_point);
};

struct JitFinishForm {
  enum class Kind {
    kSums,         // int32, to the segment's y
    kBytes,        // requantized
    kSum,          // requantized as operand a of QLinearAdd, the residual (unsigned) as b
    kResidualIsA,  // the other way round
  } kind = Kind::kSums;
  bool lookup = false;  // then through the table

  bool operator==(const JitFinishForm&) const = default;
};

// Position-independent code for `rows` rows, a multiple of four, to be copied to a 64-byte boundary.
std::vector<uint8_t> emit_finish(int rows, JitFinishForm form);

// Whether this CPU has the byte permutes (AVX-512 VBMI) that a routine with a lookup uses.
bool jit_looks_up();

// Whether a layer's largest product, and QLinearAdd of any bytes, stay within int32 when they are rounded, so that
// saturating packs clamp them.
inline bool jit_clamps(float largest_product) { return largest_product < 0x1p31f; }
inline bool jit_clamps(float a_ratio, float b_ratio, float shift) {
  return 255 * (__builtin_fabsf(a_ratio) + __builtin_fabsf(b_ratio)) + __builtin_fabsf(shift) < 1e9f;
}

}  // namespace sparsecpu
