// Conv, MatMul and Gemm of bytes.
#pragma once
#include <memory>

#include "lower/ops/layer_operands.h"
#include "run/quantized_steps.h"

namespace sparsecpu {

// The step on lanes of weights that are packed so.
std::unique_ptr<QDepthwiseStep> make_step(const PackedQDepthwise&, const Stage&, const LayerOperands&, Planner& p);
std::unique_ptr<QDenseStep> make_step(const PackedQDense&, const Stage&, const LayerOperands&, Planner& p);
std::unique_ptr<QSpmmStep> make_step(const PackedQSpmm&, const Stage&, const LayerOperands&, Planner& p);
std::unique_ptr<QJitStep> make_step(const PackedQJit&, const Stage&, const LayerOperands&, Planner& p);
void emit_few_rows(const PackedQFewRows& packed, const char* kernel, const Stage& stage, Planner& p);

// The run's own scales, by the step that was added last.
void also_uses(const QuantizedFinish& finish, Planner& p);

}  // namespace sparsecpu
