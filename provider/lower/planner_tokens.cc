// Emission of steps over tokens: normalization, attention, selection.
#include "base/error.h"
#include "lower/planner.h"

namespace sparsecpu {
namespace {

[[noreturn]] void refuse(const Stage& stage, const char* what) {
  throw Error("node '" + stage.op.name + "': " + what + " is not recognised in models, so it has no step");
}

}  // namespace

void Planner::emit(const Stage& stage, const LayerNorm&) { refuse(stage, "layer normalization"); }
void Planner::emit(const Stage& stage, const Attention&) { refuse(stage, "attention"); }
void Planner::emit(const Stage& stage, const SelectToken&) { refuse(stage, "selection of a token"); }

}  // namespace sparsecpu
