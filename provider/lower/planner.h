// Plans a Program for concrete input shapes, in two passes over the stages: their forms (Placement), then their steps,
// with layout changes where a value is not in the form that a stage needs. What an op's form is and which steps it
// becomes stand in lower/ops/, a file a family.
#pragma once
#include <memory>
#include <vector>

#include "lower/layouts.h"
#include "lower/stretch.h"

namespace sparsecpu {

// A mask of attention as floats, made of bools, int32 or bytes.
struct FloatMask {
  int value;
  MaskKind kind;
  float masked;
  int64_t keys;
  TensorRef ref;

  bool is_like(const FloatMask& other) const {
    return value == other.value && kind == other.kind && masked == other.masked && keys == other.keys;
  }
};

// What the functions emit() of the ops work with.
struct Planner {
  Planner(const OpGraph& graph, const std::vector<Stage>& stages, const KernelTable& kernels, Workers workers,
          const Part& part);

  Placement placement;
  Buffers buffers;
  Emission emission;
  Layouts layouts;
  Stretches stretches;
  std::vector<FloatMask> float_masks;
};

std::unique_ptr<const Program> plan_program(const OpGraph& graph, const std::vector<Stage>& stages,
                                            const KernelTable& kernels, int workers, const Part& part);

}  // namespace sparsecpu
