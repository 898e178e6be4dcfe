// Units between DequantizeLinear and QuantizeLinear.
#pragma once
#include "recognise/meaning.h"

namespace sparsecpu {

// What a unit of such nodes means.
Match recognise_qdq(const RecogniseContext& context, Unit unit);

}  // namespace sparsecpu
