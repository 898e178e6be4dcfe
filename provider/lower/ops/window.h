// Pools over windows and over whole images.
#pragma once
#include "lower/placement.h"

namespace sparsecpu {

struct Planner;

void form(const Pool& pool, const Stage& stage, Placement& placement);
void emit(const Pool& pool, const Stage& stage, Planner& p);
void form(const GlobalAverage& average, const Stage& stage, Placement& placement);
void emit(const GlobalAverage& average, const Stage& stage, Planner& p);

}  // namespace sparsecpu
