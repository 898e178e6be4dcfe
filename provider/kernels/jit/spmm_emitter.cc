#include "kernels/jit/spmm_emitter.h"

#include <bit>
#include <cstddef>
#include <limits>

#include "base/memory.h"
#include "kernels/jit/code_memory.h"
#include "kernels/jit/finish_emitter.h"

#if defined(SPARSECPU_JIT)
#include <xbyak/xbyak.h>
#endif

namespace sparsecpu {

#if defined(SPARSECPU_JIT)
namespace {

using Xbyak::Reg64;
using Xbyak::Zmm;

// Every group that has one weight, [byte of the weight][weight + 128]: most groups of an unstructured layer, which so
// need no copy of theirs in the code.
struct SingleWeights {
  static constexpr int kValues = 256;
  alignas(64) uint32_t at[4][kValues];
  constexpr SingleWeights() : at() {
    for (int byte = 0; byte < 4; ++byte) {
      for (int i = 0; i < kValues; ++i) at[byte][i] = static_cast<uint32_t>((i - 128) & 255) << (8 * byte);
    }
  }
  // The byte with the only weight, or -1.
  static int place(uint32_t group) {
    const int byte = std::countr_zero(group) / 8;
    return group != 0 && (group & ~(0xffu << (8 * byte))) == 0 ? byte : -1;
  }
};
constexpr SingleWeights kSingleWeights;

class SegmentEmitter : private Xbyak::CodeGenerator {
 public:
  SegmentEmitter(const JitSegmentSource& source, const AlignedBuffer& buffer)
      : CodeGenerator(buffer.bytes(), buffer.data()), source_(source) {
    constexpr int kWorthwhile = 64;  // for the registers to be saved
    int singles = 0;
    for (size_t c = 0; source.integer && c < source.column_count; ++c) {
      const JitEntry* entries = source.entries + source.columns[c].first;
      for (uint32_t e = 0; e < source.columns[c].count; ++e) singles += SingleWeights::place(entries[e].weight) >= 0;
    }
    has_table_ = singles >= kWorthwhile;
  }

  std::vector<uint8_t> emit() {
    lea(weight_, ptr[rip + constants_]);
    add(weight_, kWeightsBehind * 4);
    start();
    if (has_table_) load_table();
    multiply();
    if (has_table_) restore_registers();
    finish();
    align(64);
    L(constants_);
    for (uint32_t w : stream_) dd(w);
    return {getCode(), getCode() + getSize()};
  }

 private:
  static uint32_t bits_of(float value) {
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
  }
  static Zmm accumulator(int row) { return Zmm(row); }

  // Weights are read in order. The pointer runs ahead of them, so that every distance fits a compressed 8-bit
  // displacement (-128..127 elements).
  static constexpr int kWeightsBehind = 128;
  Xbyak::RegExp next_weight(uint32_t value) {
    const int64_t index = static_cast<int64_t>(stream_.size());
    if (index - weights_from_ > 255) {
      add(weight_, 256 * 4);
      weights_from_ += 256;
    }
    stream_.push_back(value);
    return weight_ + static_cast<int>((index - weights_from_ - kWeightsBehind) * 4);
  }

  Xbyak::RegExp weight_operand(uint32_t value) {
    const int byte = has_table_ ? SingleWeights::place(value) : -1;
    if (byte < 0) return next_weight(value);
    return table_[byte] + static_cast<int8_t>(value >> (8 * byte)) * 4;
  }

  // A pointer to each byte's weight 0, so that every distance fits 8 bits of elements.
  void load_table() {
    for (const Reg64& pointer : table_) push(pointer);
    mov(table_[0], reinterpret_cast<uint64_t>(kSingleWeights.at[0] + 128));
    for (int byte = 1; byte < 4; ++byte) lea(table_[byte], ptr[table_[0] + byte * SingleWeights::kValues * 4]);
  }
  void restore_registers() {
    for (int byte = 3; byte >= 0; --byte) pop(table_[byte]);
  }

  void start() {
    if (!source_.first) {
      for (int r = 0; r < source_.rows; ++r) vmovaps(accumulator(r), ptr[y_ + r * 64]);
      return;
    }
    if (source_.integer) {
      mov(rax, ptr[finish_ + static_cast<int>(offsetof(JitFinish, bias))]);
      for (int r = 0; r < source_.rows; ++r) vpbroadcastd(accumulator(r), ptr[rax + r * 4]);
      return;
    }
    for (int r = 0; r < source_.rows; ++r) vbroadcastss(accumulator(r), ptr[next_weight(bits_of(source_.bias[r]))]);
    Xbyak::Label no_residual;
    test(residual_, residual_);
    jz(no_residual, T_NEAR);
    for (int r = 0; r < source_.rows; ++r) vaddps(accumulator(r), accumulator(r), ptr[residual_ + r * 64]);
    L(no_residual);
  }

  void multiply() {
    size_t emitted = 0, all = 0;
    for (size_t c = 0; c < source_.column_count; ++c) all += source_.columns[c].count;
    const size_t lines = static_cast<size_t>(source_.prefetch_lines);
    size_t prefetched = 0;
    int turn = 0;
    for (size_t c = 0; c < source_.column_count; ++c) {
      const JitColumn& column = source_.columns[c];
      const Zmm x(30 + (turn++ & 1));
      vmovaps(x, input(column));
      for (uint32_t e = column.first; e < column.first + column.count; ++e) {
        const JitEntry& entry = source_.entries[e];
        multiply_add(accumulator(entry.row), x, ptr_b[weight_operand(entry.weight)]);
      }
      emitted += column.count;
      for (; prefetched < lines && prefetched * all < emitted * lines; ++prefetched) {
        prefetcht1(ptr[prefetch_ + static_cast<int>(prefetched * 64)]);
      }
    }
  }

  void multiply_add(const Zmm& sum, const Zmm& x, const Xbyak::Address& weight) {
    if (source_.integer) {
      vpdpbusd(sum, x, weight);
    } else {
      vfmadd231ps(sum, x, weight);
    }
  }

  // The x pointer follows the columns, so that distances fit 8 bits (-128..127 vectors).
  Xbyak::Address input(const JitColumn& column) {
    if (column.kernel_row != kernel_row_) {
      kernel_row_ = column.kernel_row;
      mov(x_, ptr[row_base_ + kernel_row_ * 8]);
      lea(x_, ptr[position_ + x_ * 4]);
      x_at_ = 0;
    }
    int64_t distance = column.offset - x_at_;
    if (distance < -8192 || distance > 8128) {
      const int64_t ahead = distance + 8192;
      if (ahead <= std::numeric_limits<int32_t>::max()) {
        add(x_, static_cast<uint32_t>(ahead));
      } else {
        mov(rax, static_cast<uint64_t>(ahead));
        add(x_, rax);
      }
      x_at_ += ahead;
      distance = column.offset - x_at_;
    }
    return ptr[x_ + static_cast<int>(distance)];
  }

  void finish() {
    if (source_.integer && source_.last) {
      jmp(ptr[finish_ + static_cast<int>(offsetof(JitFinish, routine))]);
      return;
    }
    store();
    vzeroupper();
    ret();
  }

  // max(lo, acc) and min(hi, acc) return acc, the second operand, when it is NaN.
  void store() {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const bool low = source_.last && source_.clamp.lo != -kInfinity;
    const bool high = source_.last && source_.clamp.hi != kInfinity;
    if (low) broadcast(Zmm(28), source_.clamp.lo);
    if (high) broadcast(Zmm(29), source_.clamp.hi);
    for (int r = 0; r < source_.rows; ++r) {
      if (low) vmaxps(accumulator(r), Zmm(28), accumulator(r));
      if (high) vminps(accumulator(r), Zmm(29), accumulator(r));
      vmovaps(ptr[y_ + r * 64], accumulator(r));
    }
  }

  void broadcast(const Zmm& target, float value) {
    mov(eax, bits_of(value));
    vpbroadcastd(target, eax);
  }

  const JitSegmentSource& source_;
  const Reg64 position_ = rdi, y_ = rsi, residual_ = rdx, row_base_ = rcx, prefetch_ = r8, finish_ = r9, weight_ = r10,
              x_ = r11;
  const Reg64 table_[4] = {rbx, rbp, r14, r15};
  bool has_table_ = false;
  std::vector<uint32_t> stream_;
  int64_t weights_from_ = 0;  // the weight pointer stands at element weights_from_ + kWeightsBehind
  int32_t kernel_row_ = -1;
  int64_t x_at_ = 0;
  Xbyak::Label constants_;
};

}  // namespace

std::vector<uint8_t> emit_spmm_segment(const JitSegmentSource& source) {
  size_t entries = 0;
  for (size_t c = 0; c < source.column_count; ++c) entries += source.columns[c].count;
  // Per entry: instruction 7 bytes, weight 4, a share of pointer moves; per column: load and pointer move; per
  // row: start and end.
  const size_t most = 4096 + entries * 16 + source.column_count * 32 + static_cast<size_t>(source.rows) * 64 +
                      static_cast<size_t>(source.prefetch_lines) * 8;
  const AlignedBuffer buffer(most);
  return SegmentEmitter(source, buffer).emit();
}

bool can_generate_code() { return CodeMemory::allowed(); }

#else

std::vector<uint8_t> emit_spmm_segment(const JitSegmentSource&) { return {}; }
bool can_generate_code() { return false; }

#endif

}  // namespace sparsecpu
