// The list of levels that this build has, and the choice among them.
#include "kernels/registry.h"

#include <array>
#include <iterator>

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
KernelTable joined(Isa isa, const KernelTable& floats, const QuantizedKernels& quantized) {
  KernelTable table = floats;
  table.isa = isa;
  table.quantized = &quantized;
  return table;
}

}  // namespace

std::span<const KernelTable* const> kernel_tables() {
  static const KernelTable kTables[] = {
      joined(Isa::kScalar, scalar::table, scalar::quantized),
      joined(Isa::kAvx2, avx2::table, avx2::quantized),
      joined(Isa::kAvx512, avx512::table, avx512::quantized),
      joined(Isa::kAvx512Vnni, avx512::table, avx512_vnni::quantized),
  };
  static constexpr size_t kCount = std::size(kTables);
  static const std::array<const KernelTable*, kCount> list = [] {
    std::array<const KernelTable*, kCount> pointers{};
    for (size_t i = 0; i < kCount; ++i) pointers[i] = &kTables[i];
    return pointers;
  }();
  return list;
}

const KernelTable& kernels_for(Isa isa) {
  const KernelTable* best = kernel_tables().front();
  for (const KernelTable* candidate : kernel_tables()) {
    if (candidate->isa <= isa) best = candidate;
  }
  return *best;
}

}  // namespace sparsecpu
