#include "plugin/ep.h"

#include <string_view>
#include <utility>

#include "abi/ort_api.h"
#include "base/cpu.h"
#include "base/name.h"
#include "graph/reader.h"
#include "plugin/fused_node.h"

namespace sparsecpu {
namespace {

using ort::api;
using ort::check;

void fuse(ort::OrtEpGraphSupportInfo* support, const std::vector<const ort::OrtNode*>& nodes, bool drop_weights) {
  ort::OrtNodeFusionOptions options{};
  options.ort_version_supported = ort::kApiVersion;
  options.drop_constant_initializers = drop_weights;
  check(ort::ep_api().EpGraphSupportInfo_AddNodesToFuse(support, nodes.data(), nodes.size(), &options));
}

std::string parent_name(const ort::OrtGraph* graph) {
  const ort::OrtNode* parent = ort::get(api().Graph_GetParentNode, graph);
  return parent != nullptr ? ort::get_string(api().Node_GetName, parent) : "";
}

void add_names(const std::vector<const ort::OrtValueInfo*>& values, Ledger::Names* names) {
  for (const ort::OrtValueInfo* value : values) {
    if (value != nullptr) names->insert(ort::get_string(api().GetValueInfoName, value));
  }
  names->erase("");  // optional ones that are left out
}

Ledger::Names made_values(const std::vector<const ort::OrtNode*>& nodes) {
  Ledger::Names names;
  for (const ort::OrtNode* node : nodes) {
    add_names(ort::get_list(api().Node_GetNumOutputs, api().Node_GetOutputs, node), &names);
  }
  return names;
}

Ledger::FusedNode read_fused(const ort::OrtGraph* graph, const ort::OrtNode* node) {
  Ledger::FusedNode fused{ort::get_string(api().Node_GetName, node), made_values(node_handles(graph)), {}, {}};
  add_names(ort::get_list(api().Node_GetNumInputs, api().Node_GetInputs, node), &fused.inputs);
  add_names(ort::get_list(api().Node_GetNumOutputs, api().Node_GetOutputs, node), &fused.outputs);
  return fused;
}

// Of a file in its own format, ONNX Runtime looks for layouts after it has put fused nodes in, along edges that it did
// not correct: beside a QLinearConv of its own the process may die. Such a graph has no name and no path. Throws Error.
void check_ort_format(const Graph& graph, const ClaimResult& result) {
  if (result.regions.empty()) return;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].op_type != "QLinearConv" || result.decisions[i].region >= 0) continue;
    throw Error(
        "it has no name, as in ONNX Runtime's own file format, where compiled nodes cannot stand beside "
        "QLinearConv '" +
        graph.nodes[i].name + "', left to the CPU provider: " + result.decisions[i].reason);
  }
}

std::string describe(const Node& node) { return node.op_type + " '" + node.name + "'"; }

}  // namespace

Ep::Ep(const ort::OrtSessionOptions* session_options, const ort::OrtLogger* logger)
    : ort::OrtEp{},
      log_(logger),
      threads_(std::make_shared<SessionThreads>(usable_cpus())),
      report_(std::make_shared<SessionReport>(threads_)),
      scratch_(std::make_shared<ScratchPool>()) {
  ort_version_supported = ort::kApiVersion;
  GetName = [](const ort::OrtEp*) -> const char* { return kProviderName; };
  GetCapability = [](ort::OrtEp* self, const ort::OrtGraph* graph, ort::OrtEpGraphSupportInfo* support) {
    return ort::guard([&] { static_cast<Ep*>(self)->get_capability(graph, support); });
  };
  Compile = [](ort::OrtEp* self, const ort::OrtGraph** graphs, const ort::OrtNode** fused_nodes, size_t count,
               ort::OrtNodeComputeInfo** infos, ort::OrtNode**) {
    return ort::guard([&] { static_cast<Ep*>(self)->compile(graphs, fused_nodes, count, infos); });
  };
  ReleaseNodeComputeInfos = [](ort::OrtEp*, ort::OrtNodeComputeInfo** infos, size_t count) {
    for (size_t i = 0; i < count; ++i) delete static_cast<FusedNode*>(infos[i]);
  };
  SetDynamicOptions = [](ort::OrtEp* self, const char* const* keys, const char* const* values, size_t count) {
    return ort::guard([&] { static_cast<Ep*>(self)->set_dynamic_options(keys, values, count); });
  };

  const OptionList entries = ort::session_config(session_options, kOptionPrefix);
  try {
    options_ = parse_options(entries);
  } catch (const Error& error) {
    option_error_ = error.what();
  }
  log_.set_level(options_.log);
  report_->set_options(entries, options_);
}

void Ep::get_capability(const ort::OrtGraph* handle, ort::OrtEpGraphSupportInfo* support) {
  if (!option_error_.empty()) return claim_anything(handle, support);
  const Graph graph = read_graph(handle);
  const std::string parent = parent_name(handle);
  LoweredClaim claimed;
  try {
    claimed = claim_lowered(graph, options_.claim);
    const bool ort_format = graph.name.empty() && ort::get_string(api().Graph_GetModelPath, handle).empty();
    if (ort_format) check_ort_format(graph, claimed.result);
  } catch (const std::exception& error) {
    // The model still runs, on the CPU provider; the log and the report say so.
    log_.write(LogLevel::kWarning, "graph '" + graph.name + "' is left to other providers: " + error.what());
    report_->add_failed_graph(graph, parent, error.what());
    return;
  }
  const std::vector<std::vector<int>>& regions = claimed.result.regions;
  const std::vector<const ort::OrtNode*> handles = node_handles(handle);
  const size_t first = report_->add_graph(graph, parent, claimed.result);
  report_->add_packed(claimed.packed);
  ledger_.erase_if([&](size_t number) { return !report_->shows(number); });
  for (size_t r = 0; r < regions.size(); ++r) {
    std::vector<const ort::OrtNode*> nodes;
    for (int node : regions[r]) nodes.push_back(handles[static_cast<size_t>(node)]);
    ledger_.add({made_values(nodes), first + r, std::move(claimed.regions[r])});
    fuse(support, nodes, /*drop_weights=*/true);
  }
  log_claims(graph, claimed.result);
  if (parent.empty()) warn_of_unknown_axes();
}

void Ep::claim_anything(const ort::OrtGraph* handle, ort::OrtEpGraphSupportInfo* support) {
  for (const ort::OrtNode* node : node_handles(handle)) {
    const std::string provider = ort::get_string(api().Node_GetEpName, node);
    if (!provider.empty() && provider != kProviderName) continue;
    if (ort::get(api().Node_GetNumSubgraphs, node) > 0) continue;
    return fuse(support, {node}, /*drop_weights=*/false);
  }
  log_.write(LogLevel::kError, option_error_);
}

// Once the main graph is seen, which is after the bodies of its nodes. No error: to find a size in no graph is certain
// only when all have been claimed.
void Ep::warn_of_unknown_axes() {
  if (std::exchange(warned_of_axes_, true)) return;
  for (const auto& [name, size] : options_.claim.assume) {
    if (report_->assumes(name)) continue;
    log_.write(LogLevel::kWarning, "option 'assume' names '" + name + "'; no graph has an open axis of that name");
  }
}

void Ep::log_claims(const Graph& graph, const ClaimResult& result) const {
  if (log_.shows(LogLevel::kInfo)) {
    size_t claimed = 0;
    for (const std::vector<int>& region : result.regions) claimed += region.size();
    log_.write(LogLevel::kInfo, "graph '" + graph.name + "': " + std::to_string(claimed) + " of " +
                                    std::to_string(graph.nodes.size()) + " nodes run here, in " +
                                    std::to_string(result.regions.size()) + " regions");
  }
  if (!log_.shows(LogLevel::kVerbose)) return;
  for (size_t i = 0; i < graph.nodes.size() && i < result.decisions.size(); ++i) {
    const NodeDecision& decision = result.decisions[i];
    if (decision.region < 0) {
      log_.write(LogLevel::kVerbose, describe(graph.nodes[i]) + " is left to other providers: " + decision.reason);
    }
  }
}

void Ep::compile(const ort::OrtGraph** graphs, const ort::OrtNode** fused_nodes, size_t count,
                 ort::OrtNodeComputeInfo** infos) {
  if (!option_error_.empty()) throw Error(option_error_);
  // Handed over only when all are there: ORT does not release them after an error.
  std::vector<std::unique_ptr<FusedNode>> nodes;
  for (size_t i = 0; i < count; ++i) {
    Ledger::Entry entry = ledger_.take(read_fused(graphs[i], fused_nodes[i]));
    nodes.push_back(std::make_unique<FusedNode>(fused_nodes[i], std::move(entry.region), threads_, scratch_));
    report_->add_compiled(entry.number, *nodes.back());
  }
  for (size_t i = 0; i < count; ++i) infos[i] = nodes[i].release();
}

void Ep::set_dynamic_options(const char* const* keys, const char* const* values, size_t count) {
  // Options for other providers pass by here too.
  for (size_t i = 0; i < count; ++i) {
    const std::string_view key = keys[i], value = values[i];
    if (key == kIdentifyOption) file_report(values[i], report_);
    if (key != kMeasureOption && key != kKeepValuesOption) continue;
    if (value != "on" && value != "off") {
      throw Error("dynamic option '" + std::string(key) + "' is '" + std::string(value) + "': expected on or off");
    }
    const bool on = value == "on";
    key == kMeasureOption ? report_->measure(on) : report_->keep_values(on);
  }
}

}  // namespace sparsecpu
