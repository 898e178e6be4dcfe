// What the steps of one Program are made with.
#pragma once
#include <vector>

#include "lower/layouts.h"
#include "lower/stretch.h"

namespace sparsecpu {

// A mask of attention as floats, made of bools, int32 or bytes.
struct FloatMask {
  int value;
  MaskKind kind;
  float masked;
  int64_t batch, keys;
  TensorRef ref;

  bool is_like(const FloatMask& other) const {
    return value == other.value && kind == other.kind && masked == other.masked && batch == other.batch &&
           keys == other.keys;
  }
};

// What the functions emit() of the ops work with.
struct Planner {
  // placed: the part's values, with their forms.
  Planner(const OpGraph& graph, const std::vector<Stage>& stages, const KernelTable& kernels, Workers workers,
          const Part& part, Placement placed);

  Placement placement;
  Buffers buffers;
  Emission emission;
  Layouts layouts;
  Stretches stretches;
  std::vector<FloatMask> float_masks;
};

}  // namespace sparsecpu
