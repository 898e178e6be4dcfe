// Conv, MatMul and Gemm of floats.
#pragma once
#include "lower/placement.h"

namespace sparsecpu {

struct Planner;

void form(const Linear& linear, const Stage& stage, Placement& placement);
void emit(const Linear& linear, const Stage& stage, Planner& p);

}  // namespace sparsecpu
