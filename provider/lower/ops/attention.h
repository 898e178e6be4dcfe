// Attention over tokens, of floats and of bytes.
#pragma once
#include "lower/placement.h"

namespace sparsecpu {

struct Planner;

void form(const Attention& attention, const Stage& stage, Placement& placement);
void emit(const Attention& attention, const Stage& stage, Planner& p);
void form(const QuantizedAttention& attention, const Stage& stage, Placement& placement);
void emit(const QuantizedAttention& attention, const Stage& stage, Planner& p);

}  // namespace sparsecpu
