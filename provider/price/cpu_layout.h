// Layouts that onnxruntime's transformers give the CPU provider's nodes, and what such a node loses when a node that
// it follows runs here: it then runs in its slower plain form. Sources: optimizer/nchwc_transformer.cc and
// optimizer/nhwc_transformer.cc.
#pragma once
#include <vector>

#include "recognise/recognise.h"

namespace sparsecpu {

struct LayoutLoss {
  int before = -1;  // the node whose layout it follows; if that or one before it in this chain runs here, it loses
  double us = 0;
};
struct CpuLayouts {
  std::vector<bool> made;          // one per value: its producer makes it in a layout of its own
  std::vector<bool> read;          // and some consumer reads it so
  std::vector<LayoutLoss> losses;  // one per node
};
CpuLayouts cpu_layouts(const Graph& graph, const Table<ValueFacts>& facts);

}  // namespace sparsecpu
