// Between floats and bytes, and elementwise functions of bytes.
#pragma once
#include "lower/placement.h"

namespace sparsecpu {

struct Planner;

void form(const Quantize& quantize, const Stage& stage, Placement& placement);
void emit(const Quantize& quantize, const Stage& stage, Planner& p);
void form(const Dequantize& dequantize, const Stage& stage, Placement& placement);
void emit(const Dequantize& dequantize, const Stage& stage, Planner& p);
void form(const DynamicQuantize& quantize, const Stage& stage, Placement& placement);
void emit(const DynamicQuantize& quantize, const Stage& stage, Planner& p);
void form(const QuantizedAdd& add, const Stage& stage, Placement& placement);
void emit(const QuantizedAdd& add, const Stage& stage, Planner& p);
void form(const QuantizedMul& mul, const Stage& stage, Placement& placement);
void emit(const QuantizedMul& mul, const Stage& stage, Planner& p);
void form(const Lookup& lookup, const Stage& stage, Placement& placement);
void emit(const Lookup& lookup, const Stage& stage, Planner& p);

}  // namespace sparsecpu
