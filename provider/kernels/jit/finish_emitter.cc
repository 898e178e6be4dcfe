#include "kernels/jit/finish_emitter.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <iterator>

#include "base/memory.h"

#if defined(SPARSECPU_JIT)
#include <xbyak/xbyak.h>
#endif

namespace sparsecpu {

#if defined(SPARSECPU_JIT)
namespace {

using Xbyak::Reg64;
using Xbyak::Zmm;

// Sums of row r come in zmm r. Quads of rows are finished one by one. Constants are memory operands until registers
// of finished quads can hold them: loads would otherwise bound the routine.
class FinishEmitter : private Xbyak::CodeGenerator {
 public:
  FinishEmitter(int rows, JitFinishForm form, const AlignedBuffer& buffer)
      : CodeGenerator(buffer.bytes(), buffer.data()), rows_(rows), form_(form) {
    if (adds()) {
      order_ = {kRound, kLowest, kHighest, kStored, kShift, kOuterRatio, kByte0, kByte1, kByte2, kByLane};
    } else {
      order_ = {kZeroPoint, kByLane};
    }
    if (form.lookup) order_.insert(order_.end(), {kTable0, kTable2, kTable1, kTable3});
  }

  std::vector<uint8_t> emit() {
    if (form_.kind == JitFinishForm::Kind::kSums) {
      for (int row = 0; row < rows_; ++row) vmovaps(ptr[y_ + row * 64], Zmm(row));
    } else {
      finish_bytes();
    }
    vzeroupper();
    ret();
    align(64);
    add_shuffles();
    return {getCode(), getCode() + getSize()};
  }

 private:
  enum Constant {
    kRound,
    kLowest,
    kHighest,
    kStored,
    kShift,
    kOuterRatio,  // one value for all lanes
    kZeroPoint,
    kTable0,
    kTable1,
    kTable2,
    kTable3,
    kByLane,
    kByte0,
    kByte1,
    kByte2,  // whole vectors
    kConstants
  };

  bool adds() const { return form_.kind != JitFinishForm::Kind::kBytes; }
  Xbyak::RegExp member(size_t offset) const { return finish_ + static_cast<int>(offset); }

  static bool is_value(int constant) { return constant <= kOuterRatio; }
  static size_t value_member(int constant) {
    constexpr size_t kMembers[] = {offsetof(JitFinish, rounding), offsetof(JitFinish, lowest),
                                   offsetof(JitFinish, highest),  offsetof(JitFinish, stored),
                                   offsetof(JitFinish, shift),    offsetof(JitFinish, a_ratio)};
    return kMembers[constant];
  }
  Xbyak::Address in_memory(int constant) {
    if (is_value(constant)) return ptr_b[member(value_member(constant))];
    if (constant == kZeroPoint) return ptr[member(offsetof(JitFinish, zero_point))];
    if (constant <= kTable3) return ptr[lookup_ + (constant - kTable0) * 64];
    return ptr[rip + shuffles_[constant - kByLane]];
  }
  template <class Use>
  void with(int constant, const Use& use) {
    if (holder_[constant] >= 0) {
      use(Zmm(holder_[constant]));
    } else {
      use(in_memory(constant));
    }
  }
  void load(const Zmm& target, int constant) {
    if (is_value(constant)) {
      vpbroadcastd(target, ptr[member(value_member(constant))]);
    } else {
      vmovdqu64(target, in_memory(constant));
    }
  }
  // Keeps the next constant in a register that is no longer needed.
  void hold_in(const Zmm& free) {
    if (held_ == order_.size()) return;
    const int constant = order_[held_++];
    load(free, constant);
    holder_[constant] = free.getIdx();
  }
  // In `free`, unless a register holds it.
  Zmm in_register(int constant, const Zmm& free) {
    if (holder_[constant] >= 0) return Zmm(holder_[constant]);
    load(free, constant);
    return free;
  }

  void finish_bytes() {
    mov(y_, ptr[member(offsetof(JitFinish, y))]);
    mov(multiplier_, ptr[member(offsetof(JitFinish, multiplier))]);
    if (form_.lookup) mov(lookup_, ptr[member(offsetof(JitFinish, lookup))]);
    if (adds()) {
      vbroadcastss(inner_ratio_, ptr[member(offsetof(JitFinish, b_ratio))]);
      hold_in(Zmm(28));
    } else {
      for (int free = 28; free < 32; ++free) hold_in(Zmm(free));
    }
    for (int row = 0; row < rows_; row += 4) {
      const Zmm quad[4] = {Zmm(row), Zmm(row + 1), Zmm(row + 2), Zmm(row + 3)};
      for (const Zmm& sum : quad) vcvtdq2ps(sum, sum);
      for (int j = 0; j < 4; ++j) vmulps(quad[j], quad[j], ptr_b[multiplier_ + (row + j) * 4]);
      if (adds()) {
        add_residual(quad, row / 4 * 64);
      } else {
        requantize(quad);
      }
      with(kByLane, [&](const Xbyak::Operand& order) { vpshufb(quad[0], quad[0], order); });
      if (form_.lookup) look_up(quad);
      vmovdqa64(ptr[y_ + row / 4 * 64], quad[0]);
      for (const Zmm& free : quad) hold_in(free);
    }
  }

  // quad[0]: bytes, in each quarter four of the first row, four of the second, ...
  void requantize(const Zmm (&quad)[4]) {
    for (const Zmm& product : quad) vcvtps2dq(product, product);
    vpackssdw(quad[0], quad[0], quad[1]);
    vpackssdw(quad[2], quad[2], quad[3]);
    with(kZeroPoint, [&](const Xbyak::Operand& zero_point) {
      vpaddsw(quad[0], quad[0], zero_point);
      vpaddsw(quad[2], quad[2], zero_point);
    });
    vpackuswb(quad[0], quad[0], quad[2]);
  }

  // fma(a, a_ratio, fma(b, b_ratio, shift)); then as requantize.
  void add_residual(const Zmm (&quad)[4], int at) {
    for (const Zmm& q : quad) with(kRound, [&](const Xbyak::Operand& round) { vaddps(q, q, round); });
    for (const Zmm& q : quad) with(kLowest, [&](const Xbyak::Operand& lowest) { vpmaxsd(q, q, lowest); });
    for (const Zmm& q : quad) with(kHighest, [&](const Xbyak::Operand& highest) { vpminsd(q, q, highest); });
    for (const Zmm& q : quad) with(kStored, [&](const Xbyak::Operand& stored) { vaddps(q, q, stored); });
    vmovdqa64(residual_bytes_, ptr[residual_ + at]);
    for (int j = 0; j < 4; ++j) {
      residual_byte(j);
      vcvtdq2ps(other_, other_);
      if (form_.kind == JitFinishForm::Kind::kSum) {
        fuse(quad[j], other_);
      } else {
        fuse(other_, quad[j]);
        vmovaps(quad[j], other_);
      }
      vcvtps2dq(quad[j], quad[j]);
    }
    vpackssdw(quad[0], quad[0], quad[1]);
    vpackssdw(quad[2], quad[2], quad[3]);
    vpackuswb(quad[0], quad[0], quad[2]);
  }

  void fuse(const Zmm& outer, const Zmm& inner) {
    with(kShift, [&](const Xbyak::Operand& shift) { vfmadd213ps(inner, inner_ratio_, shift); });
    with(kOuterRatio, [&](const Xbyak::Operand& ratio) { vfmadd132ps(outer, inner, ratio); });
  }

  void residual_byte(int j) {
    if (j == 3) {
      vpsrld(other_, residual_bytes_, 24);
    } else {
      with(kByte0 + j, [&](const Xbyak::Operand& order) { vpshufb(other_, residual_bytes_, order); });
    }
  }

  // Two permutes, each of half of the table, and a choice by the index's top bit.
  void look_up(const Zmm (&quad)[4]) {
    const Zmm low = in_register(kTable0, quad[2]), high = in_register(kTable2, quad[3]);
    vmovdqa64(quad[1], quad[0]);
    vpmovb2m(k1, quad[0]);
    with(kTable1, [&](const Xbyak::Operand& rest) { vpermi2b(quad[0], low, rest); });
    with(kTable3, [&](const Xbyak::Operand& rest) { vpermi2b(quad[1], high, rest); });
    vmovdqu8(quad[0] | k1, quad[1]);
  }

  // Sources of each byte within its quarter; 0x80 gives zero.
  void add_shuffles() {
    add_shuffle(kByLane, [](int i) { return i % 4 * 4 + i / 4; });
    for (int j = 0; j < 3; ++j) add_shuffle(kByte0 + j, [j](int i) { return i % 4 ? 0x80 : i + j; });
  }
  template <class Source>
  void add_shuffle(int constant, const Source& source) {
    L(shuffles_[constant - kByLane]);
    for (int i = 0; i < 64; ++i) db(static_cast<uint8_t>(source(i % 16)));
  }

  const int rows_;
  const JitFinishForm form_;
  // Arguments of JitFn; then what is free when a segment ends.
  const Reg64 y_ = rsi, residual_ = rdx, finish_ = r9, multiplier_ = r10, lookup_ = r11;
  const Zmm residual_bytes_ = Zmm(29), other_ = Zmm(30), inner_ratio_ = Zmm(31);
  std::vector<int> order_;  // in which constants move to registers
  size_t held_ = 0;
  int holder_[kConstants] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
  Xbyak::Label shuffles_[4];
};

}  // namespace

std::vector<uint8_t> emit_finish(int rows, JitFinishForm form) {
  const AlignedBuffer buffer(4096 + static_cast<size_t>(rows) * 256);
  return FinishEmitter(rows, form, buffer).emit();
}

#else

std::vector<uint8_t> emit_finish(int, JitFinishForm) { return {}; }

#endif

void JitFinish::set_zero_point(int value) {
  std::fill_n(zero_point, std::size(zero_point), static_cast<int16_t>(value));
  const auto bits = std::bit_cast<int32_t>(kRounding);
  lowest = bits - value;
  highest = bits + 255 - value;
  stored = static_cast<float>(value) - kRounding;
}

bool jit_looks_up() { return __builtin_cpu_supports("avx512vbmi"); }

}  // namespace sparsecpu
