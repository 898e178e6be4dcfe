// Reads an OrtGraph into the plain structs of graph.h: the last place that ORT's graph types reach.
#pragma once
#include "abi/ort_abi.h"
#include "graph/graph.h"

namespace sparsecpu {

// Constants point into ORT's memory. What ORT has to say about a value decides nothing about others: an
// initializer that cannot be read (missing file, size that does not fit its shape, strings, sub-byte types)
// is left non-constant, so its node goes to another provider, which then reports it. Throws ort::OrtError
// when ORT itself fails.
//
// A node that carries subgraphs lists the outer values they use among its inputs, so that whoever orders or
// groups nodes sees the dependency.
//
// ORT 1.23's API does not tell an unknown rank from a scalar: rank 0 counts as unknown unless constant.
Graph read_graph(const ort::OrtGraph* graph);

// ORT's handles of the graph's nodes, in the order of Graph::nodes.
std::vector<const ort::OrtNode*> node_handles(const ort::OrtGraph* graph);

}  // namespace sparsecpu
