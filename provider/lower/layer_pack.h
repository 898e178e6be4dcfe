// The packed weights of one Linear stage, in the forms its shapes can need.
#pragma once
#include <optional>

#include "claim/kernel_times.h"
#include "claim/speeds.h"
#include "lower/stage.h"
#include "pack/jit.h"
#include "pack/pack.h"
#include "pack/quantized.h"

namespace sparsecpu {

struct LayerPack {
  std::optional<PackedJit> jit;
  std::optional<PackedSpmm> spmm;
  std::optional<PackedDense> dense;
  std::optional<PackedDepthwise> depthwise;
  std::optional<PackedFewRows> few_rows;
  std::optional<PackedQJit> qjit;
  std::optional<PackedQSpmm> qspmm;
  std::optional<PackedQDense> qdense;
  std::optional<PackedQDepthwise> qdepthwise;
  std::optional<PackedQFewRows> qfew_rows;
  std::vector<float> float_bias;  // QuantizedLinear to floats; padded like QuantizedRows

  bool has_lane_form() const { return jit || spmm || dense || depthwise || qjit || qspmm || qdense || qdepthwise; }
  bool is_depthwise() const { return depthwise || qdepthwise; }
  bool streams(int64_t vectors) const { return !jit || (spmm && vectors <= kStreamVectors); }
  const PackedJit* code() const { return jit ? &*jit : qjit ? &qjit->code : nullptr; }
  PackedJit* code() { return jit ? &*jit : qjit ? &qjit->code : nullptr; }
  int64_t bytes() const;
  const char* kernel() const;  // of the main form, for the report
};

// With the kernels that are predicted to be fastest on the target. rows: output pixels times images where the model
// fixes them, else -1 (then both forms are packed).
LayerPack pack_layer(const Stage& stage, int64_t rows, const KernelTable& kernels, Target target);

// A 1x1 layer with stride 1 and no pads: the only one that may run row-major.
bool is_pointwise(const LinearShape& linear);

}  // namespace sparsecpu
