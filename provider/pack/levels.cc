#include "pack/levels.h"

#include <cstdlib>
#include <iterator>

#include "base/error.h"
#include "base/one_of.h"
#include "kernels/jit/spmm_emitter.h"
#include "kernels/quantized.h"

namespace sparsecpu {

namespace scalar {
extern const KernelTable table;
extern const QuantizedKernels quantized;
}  // namespace scalar
namespace avx2 {
extern const KernelTable table;
extern const QuantizedKernels quantized;
}  // namespace avx2
namespace avx512 {
extern const KernelTable table;
extern const QuantizedKernels quantized;
}  // namespace avx512
namespace avx512_vnni {
extern const QuantizedKernels quantized;
}

namespace {

// A level's floats and its INT8 kernels are compiled apart, so that levels can share the former.
KernelTable joined(const KernelTable& floats, const QuantizedKernels& quantized) {
  KernelTable table = floats;
  table.quantized = &quantized;
  return table;
}

}  // namespace

std::span<const Level> levels() {
  static const KernelTable kTables[] = {
      joined(scalar::table, scalar::quantized),
      joined(avx2::table, avx2::quantized),
      joined(avx512::table, avx512::quantized),
      joined(avx512::table, avx512_vnni::quantized),
  };
  static const Level kLevels[] = {
      {"scalar", 0, &kTables[0], &kScalarSpeed},
      {"avx2", kAvx2, &kTables[1], &kAvx2Speed},
      {"avx512", kAvx2 | kAvx512, &kTables[2], &kAvx512Speed},
      {"avx512_vnni", kAvx2 | kAvx512 | kVnni512, &kTables[3], &kVnni512Speed},
  };
  static_assert(std::size(kTables) == std::size(kLevels));
  return kLevels;
}

const Level& level_of(Isa isa) { return levels()[static_cast<size_t>(isa)]; }

Isa isa_of(const Level& level) { return static_cast<Isa>(&level - levels().data()); }

std::vector<std::string> level_names() {
  std::vector<std::string> names;
  for (const Level& level : levels()) names.emplace_back(level.name);
  return names;
}

const Level* find_level(std::string_view name) {
  for (const Level& level : levels()) {
    if (level.name == name) return &level;
  }
  return nullptr;
}

bool runs_here(const Level& level) { return (level.needs & ~hardware_features()) == 0; }

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Level& level : levels()) {
    if (runs_here(level)) isas.push_back(isa_of(level));
  }
  // Read every time, so that a test can change it between two sessions of one process.
  const char* last = std::getenv("SPARSECPU_ISA");
  if (last == nullptr || *last == '\0') return isas;
  const Level* limit = find_level(last);
  if (limit == nullptr) {
    throw Error("environment variable SPARSECPU_ISA is '" + std::string(last) + "': expected " + one_of(level_names()));
  }
  std::erase_if(isas, [limit](Isa isa) { return isa > isa_of(*limit); });
  return isas;
}

bool jit_available(Isa isa, bool bytes) { return layer_speed(isa, bytes).code.rate > 0 && can_generate_code(); }

}  // namespace sparsecpu
