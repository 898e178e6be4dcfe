#include "plugin/report.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <unordered_map>

#include "abi/ort_api.h"
#include "base/cpu.h"
#include "base/name.h"
#include "plugin/json.h"

namespace sparsecpu {
namespace {

// Length-prefixed, so that no name can imitate two.
void append_outputs(const Graph& graph, const Node& node, std::string* signature) {
  for (int output : node.outputs) {
    if (output < 0) continue;
    const std::string& name = graph.values[static_cast<size_t>(output)].name;
    *signature += std::to_string(name.size()) + ':' + name;
  }
}

// The value by which a node is found again; every node that can be fused produces one.
std::string first_output(const Graph& graph, const Node& node) {
  for (int output : node.outputs) {
    if (output >= 0) return graph.values[static_cast<size_t>(output)].name;
  }
  return "";
}

std::string signature_of(const Graph& graph, std::vector<int> nodes) {
  // ORT keeps names, not order: sorted by the value produced.
  std::sort(nodes.begin(), nodes.end(), [&](int a, int b) {
    return first_output(graph, graph.nodes[static_cast<size_t>(a)]) <
           first_output(graph, graph.nodes[static_cast<size_t>(b)]);
  });
  std::string signature;
  for (int node : nodes) append_outputs(graph, graph.nodes[static_cast<size_t>(node)], &signature);
  return signature;
}

std::vector<int> all_nodes(const Graph& graph) {
  std::vector<int> nodes(graph.nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) nodes[i] = static_cast<int>(i);
  return nodes;
}

std::vector<std::string> value_names(const Graph& graph, const std::vector<int>& values) {
  std::vector<std::string> names;
  for (int value : values) names.push_back(value >= 0 ? graph.values[static_cast<size_t>(value)].name : "");
  return names;
}

NodeReport node_report(const Graph& graph, const Node& node) {
  NodeReport report;
  report.name = node.name;
  report.op_type = node.op_type;
  report.domain = node.domain;
  report.inputs = value_names(graph, node.inputs);
  report.outputs = value_names(graph, node.outputs);
  return report;
}

struct KernelUse {
  std::vector<std::string> kernels;
  int64_t packed_bytes = 0;
};

// Several Ops may stand for one node: their kernels in order, each once.
std::vector<KernelUse> kernels_by_node(const Graph& fused, const Region& region) {
  std::vector<KernelUse> uses(fused.nodes.size());
  const std::vector<Op>& ops = region.ops().ops;
  const std::vector<OpReport>& reports = region.reports();
  for (size_t i = 0; i < ops.size() && i < reports.size(); ++i) {
    if (ops[i].node < 0 || static_cast<size_t>(ops[i].node) >= uses.size()) continue;
    KernelUse& use = uses[static_cast<size_t>(ops[i].node)];
    use.packed_bytes += reports[i].packed_bytes;
    const std::string& kernel = reports[i].kernel;
    if (!kernel.empty() && std::find(use.kernels.begin(), use.kernels.end(), kernel) == use.kernels.end()) {
      use.kernels.push_back(kernel);
    }
  }
  return uses;
}

uint64_t next_id() {
  static std::atomic<uint64_t> counter{0};
  return ++counter;
}

}  // namespace

SessionReport::SessionReport() : id_(next_id()) {}

void SessionReport::set_options(const OptionList& given, const Options& options) {
  const std::lock_guard<std::mutex> lock(mutex_);
  options_ = given;
  isa_ = options.claim.isa;
}

void SessionReport::add_failed_graph(const Graph& graph, const std::string& parent_node, const std::string& error) {
  const std::lock_guard<std::mutex> lock(mutex_);
  GraphReport& report = graphs_.emplace_back();
  report.name = graph.name;
  report.parent_node = parent_node;
  report.error = error;
  for (const Node& node : graph.nodes) {
    report.nodes.push_back(node_report(graph, node));
    report.nodes.back().decision.unit = static_cast<int>(report.nodes.size()) - 1;
    report.nodes.back().decision.reason = "the graph could not be analysed: " + error;
  }
}

void SessionReport::add_graph(const Graph& graph, const std::string& parent_node, const ClaimResult& result) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const int first_region = static_cast<int>(regions_.size());
  for (const std::vector<int>& nodes : result.regions) {
    RegionReport& region = regions_.emplace_back();
    region.signature = signature_of(graph, nodes);
    region.graph = graphs_.size();
    region.nodes = nodes;
    for (int node : nodes) region.first_outputs.push_back(first_output(graph, graph.nodes[static_cast<size_t>(node)]));
  }
  GraphReport& report = graphs_.emplace_back();
  report.name = graph.name;
  report.parent_node = parent_node;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    report.nodes.push_back(node_report(graph, graph.nodes[i]));
    NodeReport& node = report.nodes.back();
    if (i < result.decisions.size()) node.decision = result.decisions[i];
    if (node.decision.region >= 0) {
      node.decision.region += first_region;
      node.provider = kProviderName;
    }
  }
  assumed_.insert(result.assumed.begin(), result.assumed.end());
}

void SessionReport::add_compiled(const Graph& fused, const std::string& fused_name, const Region& region) {
  const std::string signature = signature_of(fused, all_nodes(fused));
  const std::vector<KernelUse> uses = kernels_by_node(fused, region);
  std::unordered_map<std::string, const KernelUse*> by_output;
  for (size_t i = 0; i < uses.size(); ++i) by_output[first_output(fused, fused.nodes[i])] = &uses[i];

  const std::lock_guard<std::mutex> lock(mutex_);
  // Two branches of an If may use the same names: the first that has not been compiled yet is meant.
  const auto found = std::find_if(regions_.begin(), regions_.end(), [&](const RegionReport& candidate) {
    return candidate.fused_name.empty() && candidate.signature == signature;
  });
  if (found == regions_.end()) return;
  found->fused_name = fused_name;
  GraphReport& graph = graphs_[found->graph];
  for (size_t i = 0; i < found->nodes.size(); ++i) {
    NodeReport& node = graph.nodes[static_cast<size_t>(found->nodes[i])];
    const auto use = by_output.find(found->first_outputs[i]);
    if (use == by_output.end()) continue;
    for (const std::string& kernel : use->second->kernels) node.kernel += (node.kernel.empty() ? "" : ", ") + kernel;
    node.packed_bytes = use->second->packed_bytes;
  }
}

namespace {

void write_node(const NodeReport& node, JsonWriter* json) {
  const NodeDecision& decision = node.decision;
  json->begin_object()
      .member("name", node.name)
      .member("op_type", node.op_type)
      .member("domain", node.domain)
      .member("inputs", node.inputs)
      .member("outputs", node.outputs)
      .member("provider", node.provider)
      .member("region", int64_t{decision.region})
      .member("unit", int64_t{decision.unit})
      .member("reason", decision.reason)
      .member("pattern", decision.pattern)
      .key("sparsity");
  if (decision.sparsity >= 0) {
    json->value(decision.sparsity);
  } else {
    json->null();
  }
  json->member("kernel", node.kernel)
      .member("dense_bytes", decision.dense_bytes)
      .member("packed_bytes", node.packed_bytes)
      .member("cpu_us", decision.cpu_us)
      .member("here_us", decision.here_us)
      .key("measured_us")
      .null()
      .end_object();
}

void write_graph(const GraphReport& graph, JsonWriter* json) {
  json->begin_object()
      .member("name", graph.name)
      .member("parent_node", graph.parent_node)
      .member("error", graph.error)
      .key("nodes")
      .begin_array();
  for (const NodeReport& node : graph.nodes) write_node(node, json);
  json->end_array().end_object();
}

}  // namespace

std::string SessionReport::json() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  JsonWriter json;
  json.begin_object()
      .member("id", static_cast<int64_t>(id_))
      .member("provider", kProviderName)
      .member("version", SPARSECPU_VERSION)
      .member("onnxruntime", ort::host_version())
      .member("isa", isa_name(isa_));
  json.key("options").begin_object();
  for (const auto& [key, value] : options_) json.member(key, value);
  json.end_object().key("assumed").begin_object();
  for (const auto& [axis, size] : assumed_) json.member(axis, size);
  json.end_object().key("regions").begin_array();
  for (const RegionReport& region : regions_) {
    json.begin_object()
        .member("fused_node", region.fused_name)
        .member("graph", static_cast<int64_t>(region.graph))
        .key("nodes")
        .begin_array();
    for (int node : region.nodes) json.value(int64_t{node});
    json.end_array().end_object();
  }
  json.end_array().key("graphs").begin_array();
  for (const GraphReport& graph : graphs_) write_graph(graph, &json);
  json.end_array().end_object();
  return json.text();
}

namespace {

constexpr size_t kMaxFiled = 64;

struct Filed {
  std::string nonce;
  std::shared_ptr<const SessionReport> report;
};
std::mutex g_filed_mutex;
std::deque<Filed> g_filed;

}  // namespace

void file_report(const std::string& nonce, std::shared_ptr<const SessionReport> report) {
  const std::lock_guard<std::mutex> lock(g_filed_mutex);
  g_filed.push_back({nonce, std::move(report)});
  if (g_filed.size() > kMaxFiled) g_filed.pop_front();
}

std::string take_report(const std::string& nonce) {
  std::shared_ptr<const SessionReport> report;
  {
    const std::lock_guard<std::mutex> lock(g_filed_mutex);
    const auto found = std::find_if(g_filed.begin(), g_filed.end(), [&](const Filed& f) { return f.nonce == nonce; });
    if (found == g_filed.end()) return "";
    report = std::move(found->report);
    g_filed.erase(found);
  }
  return report->json();
}

}  // namespace sparsecpu
