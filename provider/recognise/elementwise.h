// Activations, and arithmetic with a constant or between two activations.
#pragma once
#include "recognise/meaning.h"

namespace sparsecpu {

// Axes under which a constant next to an activation x is one number, or one a channel.
Check read_axes(const RecogniseContext&, int x, const Value& constant, Axes* axes);

}  // namespace sparsecpu
