// Quantized weights as integers, without their zero points: what counts, checks and packs them reads them this way.
#pragma once
#include <cstdint>
#include <functional>

#include "base/quantized.h"

namespace sparsecpu {

// visit(row, integers): every row's [taps][channels], in ascending order of rows; valid during the call.
void for_each_weight_row(const QuantizedWeightView& weight, const std::function<void(int64_t, const int16_t*)>& visit);

}  // namespace sparsecpu
