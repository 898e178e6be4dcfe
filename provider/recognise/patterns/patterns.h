// What the matchers of patterns share: several nodes that exporters write for one Op, found backwards from the last of
// them, when the facts of everything before it are known.
#pragma once
#include <optional>
#include <vector>

#include "recognise/meaning.h"

namespace sparsecpu {

// The unit of these nodes, with what computes their integer inputs and serves nothing else; nothing if a value inside
// is used outside. The last of them is its place.
std::optional<Unit> close_unit(const Graph& graph, std::vector<int> nodes, int main);

}  // namespace sparsecpu
