// What the matchers of patterns share: several nodes that exporters write for one Op, found backwards from the last of
// them, when the facts of everything before it are known.
#pragma once
#include <optional>
#include <vector>

#include "recognise/meaning.h"

namespace sparsecpu {

// The unit of these nodes, which mean `ops`, with what computes their integer inputs and serves nothing else, unless
// the ops read it; nothing if a value inside is used outside, or is read by the ops and made by none of them. The last
// of the nodes is its place.
std::optional<Unit> close_unit(const Graph& graph, std::vector<int> nodes, int main, const Ops& ops);

}  // namespace sparsecpu
