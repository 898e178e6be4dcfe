// Conv, MatMul and Gemm of floats.
#pragma once
#include <memory>

#include "lower/ops/layer_operands.h"
#include "run/linear_steps.h"

namespace sparsecpu {

// The step on lanes of weights that are packed so.
std::unique_ptr<DepthwiseStep> make_step(const PackedDepthwise&, const Stage&, const LayerOperands&, Planner& p);
std::unique_ptr<DenseStep> make_step(const PackedDense&, const Stage&, const LayerOperands&, Planner& p);
std::unique_ptr<SpmmStep> make_step(const PackedSpmm&, const Stage&, const LayerOperands&, Planner& p);
std::unique_ptr<FloatJitStep> make_step(const PackedJit&, const Stage&, const LayerOperands&, Planner& p);
void emit_few_rows(const PackedFewRows& packed, const char* kernel, const Stage& stage, Planner& p);

}  // namespace sparsecpu
