#include "lower/plan_program.h"

#include "lower/arithmetic.h"
#include "lower/chains.h"
#include "lower/ops/all.h"
#include "lower/planner.h"
#include "run/byte_steps.h"

namespace sparsecpu {
namespace {

Placement place(const OpGraph& graph, const std::vector<Stage>& stages, const Part& part) {
  Placement placement(graph, stages, part);
  for (size_t s = part.begin; s < part.end; ++s) {
    const Stage& stage = stages[s];
    // What has no elements stays row-major: nothing is there to be laid out.
    if (is_empty(placement.shape(stage.op.output))) continue;
    std::visit([&](const auto& op) { form(op, stage, placement); }, stage.op.data);
  }
  return placement;
}

// A stage whose output has no elements computes nothing, unless it is the scale of nothing.
void emit_stage(const Stage& stage, size_t index, Planner& p) {
  p.emission.begin(static_cast<int>(index), stage);
  if (is_empty(p.placement.shape(stage.op.output)) && !stage.op.scale_travels()) return;
  std::visit([&](const auto& op) { emit(op, stage, p); }, stage.op.data);
  p.layouts.fill_halo(stage.op.output);
}

void emit_chain(const Chain& chain, const std::vector<Stage>& stages, Planner& p) {
  OpenChain open(chain, &p.buffers);
  p.emission.set_chain(&open);
  for (size_t s = chain.first; s < chain.first + chain.length(); ++s) emit_stage(stages[s], s, p);
  p.emission.set_chain(nullptr);
  p.emission.begin(static_cast<int>(chain.first), stages[chain.first]);
  const std::string kernel = open.kernel();
  if (chain.kind == ChainKind::kPositions) {
    p.emission.add(open.position_chain(p.emission.workers()), kernel.c_str(), {});
  } else {
    p.emission.add(open.channel_chain(p.emission.workers()), kernel.c_str(), {});
  }
}

// A value that leaves the Program in another buffer than it was made in.
void emit_output(int value, Planner& p) {
  const TensorRef made = p.layouts.dense_of(value);
  const Placed& v = p.placement.at(value);
  const auto index = static_cast<size_t>(v.region_output);
  if (p.buffers.is_output(made.buffer, index)) return;
  auto step = std::make_unique<FlatByteStep>();
  step->count = elements_of(v.shape) * (v.is_bytes() ? 1 : 4);
  step->x = made;
  step->y = {p.buffers.output(index), 0};
  FlatByteStep& s = p.emission.add(std::move(step), "copy", {made.buffer});
  s.layout = LayoutChange::kCopy;
  s.chunks = p.emission.workers().chunks_for(ceil_div(s.count, 64), kLanes);
}

}  // namespace

std::unique_ptr<const Program> plan_program(const OpGraph& graph, const std::vector<Stage>& stages,
                                            const KernelTable& kernels, int workers, const Part& part) {
  Planner p(graph, stages, kernels, {workers}, part, place(graph, stages, part));
  const Chains chains(stages, part.end, p.placement, p.emission.workers());
  for (size_t s = part.begin; s < part.end;) {
    if (p.stretches.computes(s)) {
      ++s;
    } else if (const std::optional<Chain> chain = chains.from(s)) {
      emit_chain(*chain, stages, p);
      s += chain->length();
    } else {
      emit_stage(stages[s], s, p);
      ++s;
    }
  }
  for (int value : part.outputs) emit_output(value, p);
  return p.emission.finish();
}

}  // namespace sparsecpu
