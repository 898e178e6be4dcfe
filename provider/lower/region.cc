// A claimed region: its packed weights, and a bounded cache of Plans by input shapes.
#include <algorithm>
#include <atomic>
#include <exception>
#include <list>
#include <thread>

#include "base/cpu.h"
#include "kernels/registry.h"
#include "lower/lower.h"
#include "lower/slices.h"

namespace sparsecpu {
namespace {

// Shapes whose Plans are kept; the least recently used goes first.
constexpr size_t kMaxPlans = 32;
constexpr size_t kMaxPlanBytes = 64u << 20;

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
    const std::optional<LinearShape> linear = linear_shape(op.data);
    if (!linear || !known[out]) continue;
    rows[out] = 1;
    for (int64_t d : shapes[out]) rows[out] = checked_mul(rows[out], d);
    rows[out] /= std::max<int64_t>(1, linear->out_channels);
    // Row-major kernels want channels last: an image of several pixels is lane-blocked however small it is.
    const bool channels_last = linear->axes == Axes::kTokens || rows[out] <= shapes[out][0];
    if (!channels_last) rows[out] = std::max(rows[out], kFewRows);
  }
  return rows;
}

void forget_weights(Op& op) {
  if (auto* linear = std::get_if<Linear>(&op.data)) linear->weight.data = nullptr;
  if (auto* quantized = std::get_if<QuantizedLinear>(&op.data)) quantized->weight.data = nullptr;
}

struct KernelName {
  const char* operator()(const Linear&) const { return "linear"; }
  const char* operator()(const Unary&) const { return "unary"; }
  const char* operator()(const Binary&) const { return "binary"; }
  const char* operator()(const Affine&) const { return "affine"; }
  const char* operator()(const Pool& pool) const { return pool.kind == PoolKind::kMax ? "max pool" : "average pool"; }
  const char* operator()(const GlobalAverage&) const { return "global average"; }
  const char* operator()(const Pad&) const { return "relayout"; }
  const char* operator()(const Resize&) const { return "relayout"; }
  const char* operator()(const Concat&) const { return "concat"; }
  const char* operator()(const Split&) const { return "split"; }
  const char* operator()(const Reshape&) const { return "relabel"; }
  const char* operator()(const LayerNorm&) const { return "layer norm"; }
  const char* operator()(const Attention&) const { return "attention"; }
  const char* operator()(const QuantizedAttention&) const { return "attention int8"; }
  const char* operator()(const SelectToken&) const { return "select token"; }
  const char* operator()(const Quantize&) const { return "quantize"; }
  const char* operator()(const Dequantize&) const { return "dequantize"; }
  const char* operator()(const DynamicQuantize&) const { return "dynamic quantize"; }
  const char* operator()(const QuantizedLinear&) const { return "linear int8"; }
  const char* operator()(const QuantizedAdd&) const { return "quantized add"; }
  const char* operator()(const QuantizedMul&) const { return "quantized mul"; }
  const char* operator()(const Lookup&) const { return "lookup"; }
};

const char* kernel_name(const OpData& data) { return std::visit(KernelName{}, data); }

}  // namespace

struct Region::State {
  OpGraph graph;
  std::vector<Stage> stages;
  std::vector<LayerPack> packs;
  CodeMemory code;  // of all layers
  std::vector<OpReport> reports;
  const KernelTable* kernels = nullptr;
  int workers = 1;

  std::mutex mutex;
  struct Entry {
    std::vector<Shape> shapes;
    std::shared_ptr<const Plan> plan;
  };
  std::list<Entry> plans;  // most recently used first
  size_t plan_bytes = 0;

  void pack(JitUse jit);
  bool place();
  void forget_weights();
  void report();
  void trim();
};

// Layers are packed by temporary threads: generating code takes a second for a large network.
void Region::State::pack(JitUse jit) {
  const std::vector<int64_t> rows = static_rows(graph);
  packs.resize(stages.size());
  std::atomic<size_t> next{0};
  std::mutex failure_mutex;
  std::exception_ptr failure;
  const auto pack_stage = [&](size_t s, JitUse use) {
    const int own_output = graph.ops[static_cast<size_t>(stages[s].op_indices.front())].output;
    packs[s] = pack_layer(stages[s], rows[static_cast<size_t>(own_output)], *kernels, use);
  };
  const auto work = [&] {
    for (size_t s; (s = next.fetch_add(1)) < stages.size();) {
      if (!linear_shape(stages[s].op.data)) continue;
      try {
        pack_stage(s, jit);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(failure_mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  };
  std::vector<std::thread> threads;
  for (int t = 1; t < workers; ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
  if (!place()) {
    for (size_t s = 0; s < stages.size(); ++s) {
      if (packs[s].code() != nullptr) pack_stage(s, {});
    }
  }
}

// The code of all layers in one piece. False if the system refuses it.
bool Region::State::place() {
  std::vector<PackedJit*> layers;
  for (LayerPack& pack : packs) {
    if (PackedJit* layer = pack.code()) layers.push_back(layer);
  }
  return layers.empty() || place_code(layers, &code);
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
    const bool linear = linear_shape(stages[s].op.data).has_value();
    main.kernel = linear ? packs[s].kernel() : kernel_name(stages[s].op.data);
    main.packed_bytes = linear ? packs[s].bytes() : 0;
  }
}

void Region::State::trim() {
  while (plans.size() > kMaxPlans || (plan_bytes > kMaxPlanBytes && plans.size() > 1)) {
    plan_bytes -= plans.back().plan->plan_bytes();
    plans.pop_back();
  }
}

Region::Region(OpGraph ops, const LowerOptions& options) : state_(std::make_unique<State>()) {
  state_->graph = std::move(ops);
  state_->stages = fuse(state_->graph);
  state_->kernels = &kernels_for(options.isa);
  state_->workers = usable_cpus();
  state_->pack({options.jit && jit_available(options.isa), options.jit && integer_jit_available(options.isa)});
  state_->forget_weights();
  state_->report();
}

Region::~Region() = default;

std::shared_ptr<const Plan> Region::plan(const std::vector<Shape>& input_shapes) {
  State& s = *state_;
  const std::lock_guard<std::mutex> lock(s.mutex);
  for (auto it = s.plans.begin(); it != s.plans.end(); ++it) {
    if (it->shapes != input_shapes) continue;
    s.plans.splice(s.plans.begin(), s.plans, it);
    return it->plan;
  }
  auto plan = plan_region(s.graph, s.stages, s.packs, *s.kernels, s.workers, input_shapes);
  s.plans.push_front({input_shapes, plan});
  s.plan_bytes += plan->plan_bytes();
  s.trim();
  return plan;
}

const OpGraph& Region::ops() const { return state_->graph; }
const std::vector<OpReport>& Region::reports() const { return state_->reports; }

}  // namespace sparsecpu
