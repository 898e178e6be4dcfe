// Normalization of tokens, and of images.
#pragma once
#include "lower/placement.h"

namespace sparsecpu {

struct Planner;

void form(const LayerNorm& norm, const Stage& stage, Placement& placement);
void emit(const LayerNorm& norm, const Stage& stage, Planner& p);
void form(const GroupNorm& norm, const Stage& stage, Placement& placement);
void emit(const GroupNorm& norm, const Stage& stage, Planner& p);

}  // namespace sparsecpu
