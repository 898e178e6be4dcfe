#include "plugin/fused_node.h"

#include <malloc.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "abi/ort_api.h"
#include "base/clock.h"
#include "base/memory.h"
#include "run/plan.h"

namespace sparsecpu {
namespace {

using ort::api;
using ort::check;

// ORT's thread pool as the executor sees it. The first status that is an error is kept, and nothing is run after it: an
// exception may not pass through the executor while its workers run.
class HostThreads {
 public:
  explicit HostThreads(const ort::OrtKernelContext* context) : context_(context) {}
  HostThreads(const HostThreads&) = delete;
  HostThreads& operator=(const HostThreads&) = delete;
  ~HostThreads() { ort::ignore(status_); }

  ParallelFor parallel_for() { return {&HostThreads::invoke, this}; }
  void check() { ort::check(std::exchange(status_, nullptr)); }

 private:
  static void invoke(void* host, void (*fn)(void* user, size_t index), size_t total, void* user) {
    auto* self = static_cast<HostThreads*>(host);
    constexpr size_t kBatchesChosenByOrt = 0;
    if (self->status_ != nullptr) return;
    self->status_ = api().KernelContext_ParallelFor(self->context_, fn, total, kBatchesChosenByOrt, user);
  }

  const ort::OrtKernelContext* context_;
  ort::OrtStatus* status_ = nullptr;
};

// The slot of an output that ONNX Runtime left out: whoever read it when the region was claimed was read by nobody
// itself, and is gone.
constexpr int kAbsent = -1;

}  // namespace

FusedNode::FusedNode(const ort::OrtNode* fused, std::unique_ptr<Region> region, std::shared_ptr<SessionThreads> threads,
                     std::shared_ptr<ScratchPool> scratch)
    : ort::OrtNodeComputeInfo{},
      region_(std::move(region)),
      threads_(std::move(threads)),
      scratch_(std::move(scratch)) {
  ort_version_supported = ort::kApiVersion;
  CreateState = [](ort::OrtNodeComputeInfo* self, ort::OrtNodeComputeContext*, void** state) -> ort::OrtStatus* {
    // By now ORT has let go of the weights that were packed; glibc would keep their pages.
    malloc_trim(0);
    *state = self;
    return nullptr;
  };
  Compute = [](ort::OrtNodeComputeInfo* self, void*, ort::OrtKernelContext* context) -> ort::OrtStatus* {
    return ort::guard([&] { static_cast<FusedNode*>(self)->compute(context); });
  };
  ReleaseState = [](ort::OrtNodeComputeInfo*, void*) {};

  name_ = ort::get_string(api().Node_GetName, fused);
  const OpGraph& ops = region_->ops();
  times_ = std::make_shared<RegionTimes>(ops.ops.size());
  values_ = std::make_shared<RegionValues>();
  input_slots_ = slots_of(ops.inputs, ort::get_list(api().Node_GetNumInputs, api().Node_GetInputs, fused));
  output_slots_ = slots_of(ops.outputs, ort::get_list(api().Node_GetNumOutputs, api().Node_GetOutputs, fused));
  for (size_t i = 0; i < input_slots_.size(); ++i) {
    if (input_slots_[i] != kAbsent) continue;
    throw Error("fused node '" + name_ + "': its region's input '" +
                ops.values[static_cast<size_t>(ops.inputs[i])].name + "' is none that ONNX Runtime gave it");
  }
}

std::vector<int> FusedNode::slots_of(const std::vector<int>& values,
                                     const std::vector<const ort::OrtValueInfo*>& infos) const {
  std::vector<std::string> names;
  for (const ort::OrtValueInfo* info : infos) {
    names.push_back(info != nullptr ? ort::get_string(api().GetValueInfoName, info) : "");
  }
  std::vector<int> slots;
  for (int value : values) {
    const std::string& name = region_->ops().values[static_cast<size_t>(value)].name;
    const auto found = std::find(names.begin(), names.end(), name);
    slots.push_back(found == names.end() ? kAbsent : static_cast<int>(found - names.begin()));
  }
  return slots;
}

// Memory for the outputs of a plan.
std::vector<KeptValue> FusedNode::values_of(const Plan& plan, const std::vector<int>& outputs) const {
  std::vector<KeptValue> values;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const OpValue& value = region_->ops().values[static_cast<size_t>(outputs[i])];
    int64_t bytes = value.type == ElementType::kFloat || value.type == ElementType::kInt32 ? 4 : 1;
    for (int64_t size : plan.output_shapes[i]) bytes = checked_mul(bytes, size);
    values.push_back({value.name, value.type, plan.output_shapes[i], {}});
    values.back().data.resize(static_cast<size_t>(bytes));
  }
  return values;
}

void FusedNode::compute(ort::OrtKernelContext* context) const {
  const bool measured = times_->on(), kept = values_->on();
  const int64_t started = measured ? now_ns() : 0;
  Operands operands;
  std::vector<Shape> shapes;
  for (int slot : input_slots_) {
    const ort::OrtValue* value = nullptr;
    check(api().KernelContext_GetInput(context, static_cast<size_t>(slot), &value));
    if (value == nullptr) throw Error("fused node '" + name_ + "': input " + std::to_string(slot) + " is missing");
    shapes.push_back(ort::tensor_info(value).dims);
    operands.inputs.push_back(ort::get(api().GetTensorData, value));
  }
  HostThreads host(context);
  const ParallelFor parallel_for = host.parallel_for();
  const int workers = threads_->workers(parallel_for);
  const std::vector<int> results = kept ? region_->kernel_results() : std::vector<int>();
  const auto plan = kept ? region_->plan_for(results, shapes, workers) : region_->plan(shapes, workers);
  const ScratchPool::Lease arena(scratch_.get(), plan->arena_bytes);
  operands.arena = arena.data();
  std::vector<AlignedBuffer> unread;
  for (size_t i = 0; i < output_slots_.size(); ++i) {
    const std::vector<int64_t>& dims = plan->output_shapes[i];
    if (output_slots_[i] == kAbsent) {
      int64_t bytes = sizeof(float);  // the widest element there is
      for (int64_t dim : dims) bytes = checked_mul(bytes, dim);
      operands.outputs.push_back(unread.emplace_back(static_cast<size_t>(bytes)).data());
      continue;
    }
    ort::OrtValue* value = nullptr;
    const size_t slot = static_cast<size_t>(output_slots_[i]);
    check(api().KernelContext_GetOutput(context, slot, dims.data(), dims.size(), &value));
    if (value == nullptr) throw Error("fused node '" + name_ + "': output " + std::to_string(slot) + " is missing");
    void* data = nullptr;
    check(api().GetTensorMutableData(value, &data));
    operands.outputs.push_back(data);
  }
  std::vector<KeptValue> values = values_of(*plan, results);
  for (size_t i = output_slots_.size(); i < values.size(); ++i) operands.outputs.push_back(values[i].data.data());
  std::vector<int64_t> step_ns(measured ? plan->steps() : 0);
  execute(*plan, operands, parallel_for, threads_.get(), measured ? step_ns.data() : nullptr);
  host.check();
  for (size_t i = 0; i < std::min(values.size(), output_slots_.size()); ++i) {
    std::memcpy(values[i].data.data(), operands.outputs[i], values[i].data.size());
  }
  if (kept) values_->keep(std::move(values));
  if (measured) times_->add(*plan, step_ns, now_ns() - started);
}

}  // namespace sparsecpu
