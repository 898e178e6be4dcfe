// What the nodes of a region compute: their Ops as a graph of its own.
#pragma once
#include <vector>

#include "claim/atoms.h"

namespace sparsecpu {

// Of these atoms, in ascending order, all recognised; as ONNX Runtime cuts the fused node: a value that an atom or an
// output outside uses leaves the region. Throws Error naming a value that is used but that no Op makes.
RegionOps region_ops(const Atoms& atoms, const std::vector<int>& members);

}  // namespace sparsecpu
