// Elementwise functions of floats.
#pragma once
#include "lower/placement.h"

namespace sparsecpu {

struct Planner;

void form(const Unary& unary, const Stage& stage, Placement& placement);
void emit(const Unary& unary, const Stage& stage, Planner& p);
void form(const Binary& binary, const Stage& stage, Placement& placement);
void emit(const Binary& binary, const Stage& stage, Planner& p);
void form(const Affine& affine, const Stage& stage, Placement& placement);
void emit(const Affine& affine, const Stage& stage, Planner& p);
void form(const PRelu& prelu, const Stage& stage, Placement& placement);
void emit(const PRelu& prelu, const Stage& stage, Planner& p);

// Of an op with two operands, of floats or of bytes: as one that has the output's shape.
void form_of_two(const Stage& stage, Placement& placement);

}  // namespace sparsecpu
