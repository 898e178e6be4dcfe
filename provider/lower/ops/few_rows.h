// Operands of row-major layers: of few tokens, and of what a file declares as single pixels. Where such an image has
// more pixels in a run, the kernel gets channels-last copies: slower, and right for every size.
#pragma once
#include "lower/planner.h"

namespace sparsecpu {

struct FewRowsOperands {
  int64_t m = 0;  // rows
  TensorRef x, y;
  std::optional<TensorRef> residual;

  int residual_buffer() const { return residual.value_or(x).buffer; }
};

FewRowsOperands few_rows_operands(const Stage& stage, Planner& p);
// After its step: gives the output its home form.
void place_few_rows(const Stage& stage, TensorRef y, Planner& p);

}  // namespace sparsecpu
