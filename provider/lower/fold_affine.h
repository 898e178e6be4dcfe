// A constant scale and shift behind a layer, as a part of the layer.
#pragma once
#include "lower/stage.h"

namespace sparsecpu {

// Makes scale and shift a part of the layer, if the result stays the same to rounding and finite where it was. Sums
// begin with what is added to them, so a number that dwarfs the weights would round every product; and adding such a
// number, then taking it away (which rounds to integers) is not adding the difference.
bool fold(const Affine& affine, const Linear& linear, Stage* stage);

}  // namespace sparsecpu
