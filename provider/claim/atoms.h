// A graph with every unit contracted to one node, so that whoever prices and groups nodes takes units whole.
#pragma once
#include <vector>

#include "recognise/recognise.h"

namespace sparsecpu {

struct Atoms {
  Graph graph;  // values as in the whole graph; those inside a unit have no use
  RecognisedGraph recognised;
  std::vector<std::vector<int>> members;  // nodes of the whole graph, ascending
  std::vector<int> main;                  // the one that stands for them in reports
};
Atoms contract_units(const Graph& graph, RecognisedGraph recognised);

}  // namespace sparsecpu
