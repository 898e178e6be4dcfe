// Nodes -> Ops: every node alone, in a unit, or as a part of a pattern (recognisers.h lists what is looked for).
#pragma once
#include <string>
#include <vector>

#include "recognise/meaning.h"

namespace sparsecpu {

struct Recognised {
  std::string pattern;  // "" if the operator is not in the table
  std::string reason;   // why not; "" when recognised
  Ops ops;
  int unit = -1;  // index into RecognisedGraph::units; the ops are with the unit's place
  bool ok() const { return !ops.empty(); }
};

struct RecognisedGraph {
  Table<Recognised> nodes;  // one per node of the graph
  Table<ValueFacts> facts;  // one per value
  std::vector<Unit> units;
  SymbolSizes assumed;
};
// given: as AssumedShapes takes them.
RecognisedGraph recognise_graph(const Graph& graph, const SymbolSizes& given);

}  // namespace sparsecpu
