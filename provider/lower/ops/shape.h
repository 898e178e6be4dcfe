// What moves values and computes none. Borders, sizes, ranges of channels, names of axes, single tokens.
#pragma once
#include "lower/placement.h"

namespace sparsecpu {

struct Planner;

void form(const Pad& pad, const Stage& stage, Placement& placement);
void emit(const Pad& pad, const Stage& stage, Planner& p);
void form(const Resize& resize, const Stage& stage, Placement& placement);
void emit(const Resize& resize, const Stage& stage, Planner& p);
void form(const Concat& concat, const Stage& stage, Placement& placement);
void emit(const Concat& concat, const Stage& stage, Planner& p);
void form(const Split& split, const Stage& stage, Placement& placement);
void emit(const Split& split, const Stage& stage, Planner& p);
void form(const Reshape& reshape, const Stage& stage, Placement& placement);
void emit(const Reshape& reshape, const Stage& stage, Planner& p);
void form(const SelectToken& select, const Stage& stage, Placement& placement);
void emit(const SelectToken& select, const Stage& stage, Planner& p);

}  // namespace sparsecpu
