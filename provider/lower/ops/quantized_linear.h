// Conv, MatMul and Gemm of bytes.
#pragma once
#include "lower/placement.h"

namespace sparsecpu {

struct Planner;

void form(const QuantizedLinear& linear, const Stage& stage, Placement& placement);
void emit(const QuantizedLinear& linear, const Stage& stage, Planner& p);

}  // namespace sparsecpu
