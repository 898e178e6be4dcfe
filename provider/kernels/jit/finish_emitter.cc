#include "kernels/jit/finish_emitter.h"

#include <cstddef>

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
// of finished quads can hold them: loads would otherwise bound the sum.
class FinishEmitter : private Xbyak::CodeGenerator {
 public:
  FinishEmitter(int rows, JitFinishForm form, const AlignedBuffer& buffer)
      : CodeGenerator(buffer.bytes(), buffer.data()), rows_(rows), form_(form) {}

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
  // In the order in which they move to registers.
  enum Constant { kZeroPoint, kByLane, kShift, kOuterRatio, kLaneByte, kProductByte = kLaneByte + 3 };
  static constexpr int kConstants = kProductByte + 4;

  bool adds() const { return form_.kind != JitFinishForm::Kind::kBytes; }
  Xbyak::RegExp member(size_t offset) const { return finish_ + static_cast<int>(offset); }

  // Of a whole vector, or of one value for all lanes; in memory.
  Xbyak::Address in_memory(int constant) {
    if (constant == kZeroPoint) return ptr[member(offsetof(JitFinish, zero_point))];
    if (constant == kShift) return ptr_b[member(offsetof(JitFinish, shift))];
    if (constant == kOuterRatio) return ptr_b[member(offsetof(JitFinish, a_ratio))];
    return ptr[rip + shuffles_[constant]];
  }
  template <class Use>
  void with(int constant, const Use& use) {
    if (constant < held_) {
      use(holders_[constant]);
    } else {
      use(in_memory(constant));
    }
  }
  void hold_in(const Zmm& free) {
    if (held_ == (adds() ? kConstants : kByLane + 1)) return;
    if (held_ == kShift || held_ == kOuterRatio) {
      vpbroadcastd(free, ptr[member(held_ == kShift ? offsetof(JitFinish, shift) : offsetof(JitFinish, a_ratio))]);
    } else {
      vmovdqa64(free, in_memory(held_));
    }
    holders_[held_++] = free;
  }
  void shuffle(const Zmm& target, const Zmm& source, int constant) {
    with(constant, [&](const Xbyak::Operand& order) { vpshufb(target, source, order); });
  }

  void finish_bytes() {
    mov(y_, ptr[member(offsetof(JitFinish, y))]);
    mov(multiplier_, ptr[member(offsetof(JitFinish, multiplier))]);
    if (form_.lookup) mov(lookup_, ptr[member(offsetof(JitFinish, lookup))]);
    if (adds()) {
      vbroadcastss(inner_ratio_, ptr[member(offsetof(JitFinish, b_ratio))]);
    } else {
      hold_in(Zmm(28));
      hold_in(Zmm(29));
    }
    for (int row = 0; row < rows_; row += 4) {
      const Zmm quad[4] = {Zmm(row), Zmm(row + 1), Zmm(row + 2), Zmm(row + 3)};
      requantize(quad, row);
      if (adds()) add_residual(quad, row / 4 * 64);
      shuffle(quad[0], quad[0], kByLane);
      if (form_.lookup) look_up(quad);
      vmovdqa64(ptr[y_ + row / 4 * 64], quad[0]);
      for (const Zmm& free : quad) hold_in(free);
    }
  }

  // quad[0]: bytes, in each quarter four of the first row, four of the second, ...
  void requantize(const Zmm (&quad)[4], int row) {
    for (const Zmm& sum : quad) vcvtdq2ps(sum, sum);
    for (int j = 0; j < 4; ++j) vmulps(quad[j], quad[j], ptr_b[multiplier_ + (row + j) * 4]);
    for (const Zmm& product : quad) vcvtps2dq(product, product);
    vpackssdw(quad[0], quad[0], quad[1]);
    vpackssdw(quad[2], quad[2], quad[3]);
    with(kZeroPoint, [&](const Xbyak::Operand& zero_point) {
      vpaddsw(quad[0], quad[0], zero_point);
      vpaddsw(quad[2], quad[2], zero_point);
    });
    vpackuswb(quad[0], quad[0], quad[2]);
  }

  // fma(a, a_ratio, fma(b, b_ratio, shift)), one row after another.
  void add_residual(const Zmm (&quad)[4], int at) {
    const bool residual_is_a = form_.kind == JitFinishForm::Kind::kResidualIsA;
    vmovdqa64(product_bytes_, quad[0]);
    vmovdqa64(residual_bytes_, ptr[residual_ + at]);
    for (int j = 0; j < 4; ++j) {
      const Zmm &outer = quad[j], &inner = inner_;
      shuffle(residual_is_a ? inner : outer, product_bytes_, kProductByte + j);
      residual_byte(residual_is_a ? outer : inner, j);
      vcvtdq2ps(inner, inner);
      vcvtdq2ps(outer, outer);
      with(kShift, [&](const Xbyak::Operand& shift) { vfmadd213ps(inner, inner_ratio_, shift); });
      with(kOuterRatio, [&](const Xbyak::Operand& ratio) { vfmadd132ps(outer, inner, ratio); });
      vcvtps2dq(outer, outer);
    }
    vpackssdw(quad[0], quad[0], quad[1]);
    vpackssdw(quad[2], quad[2], quad[3]);
    vpackuswb(quad[0], quad[0], quad[2]);
  }

  void residual_byte(const Zmm& target, int j) {
    if (j == 3) {
      vpsrld(target, residual_bytes_, 24);
    } else {
      shuffle(target, residual_bytes_, kLaneByte + j);
    }
  }

  // Two permutes, each of half of the table, and a choice by the index's top bit.
  void look_up(const Zmm (&quad)[4]) {
    vmovdqa64(quad[1], quad[0]);
    vmovdqu64(quad[2], ptr[lookup_]);
    vmovdqu64(quad[3], ptr[lookup_ + 128]);
    vpmovb2m(k1, quad[0]);
    vpermi2b(quad[0], quad[2], ptr[lookup_ + 64]);
    vpermi2b(quad[1], quad[3], ptr[lookup_ + 192]);
    vmovdqu8(quad[0] | k1, quad[1]);
  }

  // Sources of each byte within its quarter; 0x80 gives zero.
  void add_shuffles() {
    add_shuffle(kByLane, [](int i) { return i % 4 * 4 + i / 4; });
    for (int j = 0; j < 3; ++j) add_shuffle(kLaneByte + j, [j](int i) { return i % 4 ? 0x80 : i + j; });
    for (int j = 0; j < 4; ++j) add_shuffle(kProductByte + j, [j](int i) { return i % 4 ? 0x80 : j * 4 + i / 4; });
  }
  template <class Source>
  void add_shuffle(int constant, const Source& source) {
    L(shuffles_[constant]);
    for (int i = 0; i < 64; ++i) db(static_cast<uint8_t>(source(i % 16)));
  }

  const int rows_;
  const JitFinishForm form_;
  // Arguments of JitFn; then what is free when a segment ends.
  const Reg64 y_ = rsi, residual_ = rdx, finish_ = r9, multiplier_ = r10, lookup_ = r11;
  const Zmm product_bytes_ = Zmm(28), residual_bytes_ = Zmm(29), inner_ = Zmm(30), inner_ratio_ = Zmm(31);
  Zmm holders_[kConstants];
  int held_ = 0;
  Xbyak::Label shuffles_[kConstants];
};

}  // namespace

std::vector<uint8_t> emit_finish(int rows, JitFinishForm form) {
  const AlignedBuffer buffer(4096 + static_cast<size_t>(rows) * 256);
  return FinishEmitter(rows, form, buffer).emit();
}

#else

std::vector<uint8_t> emit_finish(int, JitFinishForm) { return {}; }

#endif

bool jit_looks_up() { return __builtin_cpu_supports("avx512vbmi"); }

}  // namespace sparsecpu
