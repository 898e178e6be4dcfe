#include "lower/region.h"

#include <algorithm>
#include <atomic>

#include "base/cpu.h"
#include "lower/arithmetic.h"
#include "lower/fuse.h"
#include "lower/pack_layers.h"
#include "lower/plan_cache.h"
#include "lower/slices.h"
#include "lower/sums.h"
#include "pack/levels.h"

namespace sparsecpu {
namespace {

// Output pixels times images (or tokens) of every value, where the declared shapes fix them; else -1.
std::vector<int64_t> static_rows(const OpGraph& graph) {
  std::vector<Shape> shapes(graph.values.size());
  std::vector<bool> known(graph.values.size(), false);
  const auto is_fixed = [](const OpValue& v) {
    return v.has_shape && std::all_of(v.dims.begin(), v.dims.end(), [](int64_t d) { return d >= 0; });
  };
  for (size_t i = 0; i < graph.values.size(); ++i) {
    known[i] = is_fixed(graph.values[i]);
    if (known[i]) shapes[i] = graph.values[i].dims;
  }
  std::vector<int64_t> rows(graph.values.size(), -1);
  for (const Op& op : graph.ops) {
    const size_t out = static_cast<size_t>(op.output);
    const bool inputs_known =
        std::all_of(op.inputs.begin(), op.inputs.end(), [&](int i) { return known[static_cast<size_t>(i)]; });
    if (inputs_known && !known[out]) {
      std::vector<Shape> inputs;
      for (int i : op.inputs) inputs.push_back(shapes[static_cast<size_t>(i)]);
      shapes[out] = output_shape(op, inputs);
      known[out] = true;
    }
    const std::optional<LinearShape> linear = op.layer();
    if (!linear || !known[out]) continue;
    rows[out] = elements_of(shapes[out]) / std::max<int64_t>(1, linear->out_channels);
    // Row-major kernels want channels last: an image of several pixels is lane-blocked however small it is.
    const bool channels_last = linear->axes == Axes::kTokens || rows[out] <= shapes[out][0];
    if (!channels_last) rows[out] = std::max(rows[out], kFewRows);
  }
  return rows;
}

void forget_weights(Op& op) {
  std::visit(
      [](auto& data) {
        if constexpr (requires { data.weight.data; }) data.weight.data = nullptr;
      },
      op.data);
}

}  // namespace

struct Region::State {
  OpGraph graph;
  std::vector<Stage> stages;
  std::vector<int64_t> rows;  // of each value, as static_rows
  std::vector<bool> certain;  // of stages: whether the shape of their sum is that of the product in every run
  std::vector<bool> counted;  // of stages: whether their weights count as their own
  std::vector<OpReport> reports;
  const KernelTable& kernels;
  PlanCache plans;
  std::atomic<const std::vector<Stage>*> apart{nullptr};  // made when shapes first need it

  State(OpGraph ops, const KernelTable& table) : graph(std::move(ops)), stages(fuse(graph)), kernels(table) {
    rows = static_rows(graph);
    certain = certain_sums(graph, stages);
    counted.resize(stages.size());
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { delete apart.load(std::memory_order_relaxed); }
  std::shared_ptr<const Plan> plan(const std::vector<int>& outputs, const std::vector<Shape>& input_shapes,
                                   int workers);
  const std::vector<Stage>& stages_apart();
  void forget_weights();
  void report();
};

std::shared_ptr<const Plan> Region::State::plan(const std::vector<int>& outputs, const std::vector<Shape>& input_shapes,
                                                int workers) {
  const std::vector<Shape> shapes = value_shapes(graph, ops_of(stages, 0, stages.size()), input_shapes);
  if (products_are_whole(graph, stages, shapes)) {
    return plan_region(graph, stages, kernels, workers, input_shapes, outputs);
  }
  return plan_region(graph, stages_apart(), kernels, workers, input_shapes, outputs);
}

// Without a lock, which a fork could leave taken: of several threads that come first, each makes one, and one is kept.
const std::vector<Stage>& Region::State::stages_apart() {
  if (const std::vector<Stage>* there = apart.load(std::memory_order_acquire)) return *there;
  auto made = std::make_unique<const std::vector<Stage>>(with_sums_apart(graph, stages));
  const std::vector<Stage>* there = nullptr;
  return apart.compare_exchange_strong(there, made.get(), std::memory_order_acq_rel) ? *made.release() : *there;
}

// The graph that the views point into ends with Compile.
void Region::State::forget_weights() {
  for (Stage& stage : stages) sparsecpu::forget_weights(stage.op);
  for (Op& op : graph.ops) sparsecpu::forget_weights(op);
}

void Region::State::report() {
  reports.resize(graph.ops.size());
  for (size_t s = 0; s < stages.size(); ++s) {
    for (int op : stages[s].op_indices) {
      reports[static_cast<size_t>(op)] = {"fused", 0, stages[s].op_indices.front()};
    }
    OpReport& main = reports[static_cast<size_t>(stages[s].op_indices.front())];
    const LayerPack* pack = stages[s].pack.get();
    main.kernel = pack != nullptr ? pack->main().name() : stages[s].op.kernel();
    main.packed_bytes = counted[s] ? pack->bytes() : 0;
  }
}

// Lowers regions side by side. What fails is noted, and the rest goes on: one call tells all that cannot be claimed.
class Region::Lowerer {
 public:
  explicit Lowerer(Target target) : target_(target) {}

  Lowering run(std::vector<RegionOps> regions) {
    for (RegionOps& region : regions) {
      assumed_.push_back(std::move(region.assumed));
      add(std::move(region.graph));
    }
    pack();
    for (size_t r = 0; r < result_.regions.size(); ++r) finish(r);
    return std::move(result_);
  }

 private:
  struct Layer {
    size_t region = 0, stage = 0;
  };
  State& state(size_t region) { return *result_.regions[region]->state_; }

  // Calls work(); its failure is the reason why the region is not claimed.
  template <class Work>
  void attempt(size_t region, const Work& work) {
    try {
      work();
    } catch (const std::exception& error) {
      refuse(region, -1, "its group cannot be planned: " + std::string(error.what()));
    }
  }

  void refuse(size_t region, int node, std::string reason) {
    result_.regions[region].reset();
    result_.refusals.push_back({region, node, std::move(reason)});
  }

  void add(OpGraph graph) {
    const size_t region = result_.regions.size();
    result_.regions.emplace_back();
    attempt(region, [&] {
      auto state = std::make_unique<State>(std::move(graph), kernels_for(target_.isa));
      for (size_t s = 0; s < state->stages.size(); ++s) {
        if (state->stages[s].op.layer()) layers_.push_back({region, s});
      }
      result_.regions[region].reset(new Region(std::move(state)));
    });
  }

  // What takes the time: generating code takes a second for a large network.
  void pack() {
    std::vector<LayerSource> sources;
    for (const Layer& layer : layers_) {
      const State& region = state(layer.region);
      const Stage& stage = region.stages[layer.stage];
      const int own_output = region.graph.ops[static_cast<size_t>(stage.op_indices.front())].output;
      sources.push_back(
          layer_source(stage, region.certain[layer.stage], region.rows[static_cast<size_t>(own_output)], target_));
    }
    PackedLayers packed = pack_layers(sources);
    result_.packed = packed.made;
    std::vector<Lowering::Refusal> refused;  // in the end: a region that is refused is no longer there
    for (size_t i = 0; i < layers_.size(); ++i) {
      const auto [region, stage] = layers_[i];
      if (packed.failures[i].empty()) {
        state(region).stages[stage].pack = packed.packs[i];
        state(region).counted[stage] = packed.is_first[i];
      } else {
        refused.push_back(
            {region, state(region).stages[stage].op.node, "its weights cannot be packed: " + packed.failures[i]});
      }
    }
    result_.packs = std::move(packed.packs);
    for (Lowering::Refusal& refusal : refused) refuse(refusal.region, refusal.node, std::move(refusal.reason));
  }

  void finish(size_t r) {
    if (!result_.regions[r]) return;
    state(r).forget_weights();
    state(r).report();
    attempt(r, [&] {
      if (!fits(r)) return;
      // A run of a session of as many threads finds this Plan.
      result_.regions[r]->plan(assumed_[r], usable_cpus());
    });
  }

  // Sizes that were only assumed may be ones that the model never sees. Throws Error where they are beyond all memory:
  // so would be the tables of a plan.
  bool fits(size_t region) {
    constexpr int64_t kMostElements = int64_t{1} << 34;
    if (assumed_[region].empty()) return false;
    std::vector<Shape> shapes;
    try {
      const State& s = state(region);
      shapes = value_shapes(s.graph, ops_of(s.stages, 0, s.stages.size()), assumed_[region]);
    } catch (const Error&) {
      return false;
    }
    for (const Shape& shape : shapes) {
      if (elements_of(shape) > kMostElements) throw Error("a tensor has more than 2^34 elements at the assumed sizes");
    }
    return true;
  }

  const Target target_;
  Lowering result_;
  std::vector<std::vector<Shape>> assumed_;
  std::vector<Layer> layers_;
};

Lowering Region::lower(std::vector<RegionOps> regions, Target target) {
  return Lowerer(target).run(std::move(regions));
}

Region::Region(std::unique_ptr<State> state) : state_(std::move(state)) {}
Region::~Region() = default;

std::shared_ptr<const Plan> Region::plan(const std::vector<Shape>& input_shapes, int workers) {
  State& s = *state_;
  if (auto plan = s.plans.find(input_shapes, workers)) return plan;
  auto plan = plan_for(s.graph.outputs, input_shapes, workers);
  s.plans.keep(plan);
  return plan;
}

std::shared_ptr<const Plan> Region::plan_for(const std::vector<int>& outputs, const std::vector<Shape>& input_shapes,
                                             int workers) const {
  return state_->plan(outputs, input_shapes, workers);
}

std::vector<int> Region::kernel_results() const {
  std::vector<int> results = state_->graph.outputs;
  for (const Stage& stage : state_->stages) {
    const int value = stage.op.output;
    const bool named = !state_->graph.values[static_cast<size_t>(value)].name.empty();
    // The bytes of a DynamicQuantize mean nothing without the scale that travels with them.
    const bool own = named && !stage.op.scale_travels();
    if (own && std::find(results.begin(), results.end(), value) == results.end()) results.push_back(value);
  }
  return results;
}

const OpGraph& Region::ops() const { return state_->graph; }
const std::vector<OpReport>& Region::reports() const { return state_->reports; }

}  // namespace sparsecpu
