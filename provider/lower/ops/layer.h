// Layers of floats and of bytes: which of their packed forms runs, what it reads, where it writes, how its work is
// divided. The steps stand in linear.h and quantized_linear.h.
#pragma once
#include "lower/placement.h"

namespace sparsecpu {

struct Planner;

void form(const Linear& linear, const Stage& stage, Placement& placement);
void emit(const Linear& linear, const Stage& stage, Planner& p);

void form(const QuantizedLinear& linear, const Stage& stage, Placement& placement);
void emit(const QuantizedLinear& linear, const Stage& stage, Planner& p);

}  // namespace sparsecpu
