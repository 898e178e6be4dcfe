#include "plugin/report.h"

#include <algorithm>
#include <atomic>
#include <deque>

#include "abi/ort_api.h"
#include "base/fork.h"
#include "base/name.h"
#include "plugin/json.h"

namespace sparsecpu {
namespace {

uint64_t next_id() {
  static std::atomic<uint64_t> counter{0};
  return ++counter;
}

}  // namespace

std::mutex SessionReport::mutex_;
const int SessionReport::waits_at_fork_ = wait_at_fork<&SessionReport::mutex_>();

SessionReport::SessionReport(std::shared_ptr<const SessionThreads> threads)
    : id_(next_id()), threads_(std::move(threads)) {}

void SessionReport::set_options(const OptionList& given, const Options& options) {
  const std::lock_guard<std::mutex> lock(mutex_);
  options_ = given;
  isa_ = options.claim.isa;
}

void SessionReport::measure(bool on) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const RegionReport& region : regions_) {
    if (region.times) region.times->turn(on);
  }
}

void SessionReport::keep_values(bool on) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const RegionReport& region : regions_) {
    if (region.values) region.values->turn(on);
  }
}

std::vector<KeptValue> SessionReport::values() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<KeptValue> values;
  for (const RegionReport& region : regions_) {
    if (!region.values || !graphs_[region.graph].parent_node.empty()) continue;
    for (KeptValue& value : region.values->get()) values.push_back(std::move(value));
  }
  return values;
}

std::vector<NodeTimes> SessionReport::node_times(size_t graph) const {
  std::vector<NodeTimes> nodes(graphs_[graph].nodes.size());
  for (const RegionReport& region : regions_) {
    if (region.graph != graph || !region.times || region.times->runs() == 0) continue;
    for (size_t op = 0; op < region.op_nodes.size(); ++op) {
      NodeTimes& node = nodes[static_cast<size_t>(region.op_nodes[op])];
      node.measured = true;
      node.kernel_us += region.times->op_us(op);
      node.multiply_adds += region.times->multiply_adds(op);
      for (size_t change = 0; change < node.layout_us.size(); ++change) {
        node.layout_us[change] += region.times->layout_us(op, static_cast<LayoutChange>(change));
      }
    }
  }
  return nodes;
}

namespace {

void write_or_null(const char* name, bool known, double number, JsonWriter* json) {
  json->key(name);
  known ? json->value(number) : json->null();
}

void write_layout(const std::array<double, kLayoutChanges>& microseconds, JsonWriter* json) {
  json->key("layout_us").begin_object();
  for (size_t change = 0; change < microseconds.size(); ++change) {
    if (microseconds[change] > 0) {
      json->member(layout_change_name(static_cast<LayoutChange>(change)), microseconds[change]);
    }
  }
  json->end_object();
}

// The node whose kernel does the work of `node`: a quantized unit's operator may itself be fused into another.
int host_of(const GraphReport& graph, int node) {
  const int host = graph.nodes[static_cast<size_t>(node)].computed_in;
  return host < 0 ? node : host_of(graph, host);
}

void write_node(const GraphReport& graph, int index, const std::vector<int>& regions, const NodeTimes& times,
                JsonWriter* json) {
  const NodeReport& node = graph.nodes[static_cast<size_t>(index)];
  const NodeDecision& decision = node.decision;
  const int region = decision.region < 0 ? -1 : regions[static_cast<size_t>(decision.region)];
  const bool dropped = decision.region >= 0 && region < 0;
  json->begin_object()
      .member("name", node.name)
      .member("op_type", node.op_type)
      .member("domain", node.domain)
      .member("inputs", node.inputs)
      .member("outputs", node.outputs)
      .member("provider", dropped ? "" : node.provider)
      .member("region", int64_t{region})
      .member("unit", int64_t{decision.unit})
      .member("reason", dropped ? "claimed, but ONNX Runtime did not take it" : decision.reason)
      .member("pattern", decision.pattern)
      .member("layer", decision.layer)
      .member("multiply_adds", decision.multiply_adds);
  write_or_null("sparsity", decision.sparsity >= 0, decision.sparsity, json);
  write_or_null("group_sparsity", decision.group_density >= 0, 1 - decision.group_density, json);
  write_or_null("needed_sparsity", decision.needed_sparsity >= 0, decision.needed_sparsity, json);
  json->member("kernel", node.kernel).key("computed_in");
  const int host = host_of(graph, index);
  host == index ? json->null() : json->value(int64_t{host});
  json->member("dense_bytes", decision.dense_bytes)
      .member("packed_bytes", node.packed_bytes)
      .member("cpu_us", decision.cpu_us)
      .member("here_us", decision.here_us);
  write_or_null("measured_us", times.measured && host == index, times.kernel_us, json);
  write_or_null("measured_multiply_adds", times.measured, times.multiply_adds, json);
  write_layout(times.layout_us, json);
  json->end_object();
}

// regions: by their numbers, how the report counts those that were compiled; -1 for others.
void write_graph(const GraphReport& graph, const std::vector<int>& regions, const std::vector<NodeTimes>& times,
                 JsonWriter* json) {
  json->begin_object()
      .member("name", graph.name)
      .member("parent_node", graph.parent_node)
      .member("error", graph.error)
      .key("nodes")
      .begin_array();
  for (size_t i = 0; i < graph.nodes.size(); ++i) write_node(graph, static_cast<int>(i), regions, times[i], json);
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
      .member("isa", level_of(isa_).name)
      .member("threads", static_cast<int64_t>(threads_->seen()))
      .member("layers_packed", layers_packed_);
  json.key("options").begin_object();
  for (const auto& [key, value] : options_) json.member(key, value);
  json.end_object().key("assumed").begin_object();
  for (const auto& [axis, size] : assumed_) json.member(axis, size);
  json.end_object().key("regions").begin_array();
  std::vector<int> shown(regions_.size(), -1);
  int count = 0;
  for (size_t number = 0; number < regions_.size(); ++number) {
    const RegionReport& region = regions_[number];
    if (region.nodes.empty() || region.fused_name.empty()) continue;
    shown[number] = count++;
    json.begin_object()
        .member("fused_node", region.fused_name)
        .member("graph", static_cast<int64_t>(region.graph))
        .key("nodes")
        .begin_array();
    for (int node : region.nodes) json.value(int64_t{node});
    const int64_t runs = region.times ? region.times->runs() : 0;
    json.end_array().member("measured_runs", runs);
    write_or_null("measured_us", runs > 0, runs > 0 ? region.times->whole_us() : 0, &json);
    json.end_object();
  }
  json.end_array().key("graphs").begin_array();
  for (size_t i = 0; i < graphs_.size(); ++i) write_graph(graphs_[i], shown, node_times(i), &json);
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
const int g_filed_waits_at_fork = wait_at_fork<&g_filed_mutex>();
std::deque<Filed> g_filed;

}  // namespace

void file_report(const std::string& nonce, std::shared_ptr<const SessionReport> report) {
  const std::lock_guard<std::mutex> lock(g_filed_mutex);
  g_filed.push_back({nonce, std::move(report)});
  if (g_filed.size() > kMaxFiled) g_filed.pop_front();
}

namespace {

std::shared_ptr<const SessionReport> take(const std::string& nonce) {
  const std::lock_guard<std::mutex> lock(g_filed_mutex);
  const auto found = std::find_if(g_filed.begin(), g_filed.end(), [&](const Filed& f) { return f.nonce == nonce; });
  if (found == g_filed.end()) return nullptr;
  std::shared_ptr<const SessionReport> report = std::move(found->report);
  g_filed.erase(found);
  return report;
}

}  // namespace

std::string take_report(const std::string& nonce) {
  const std::shared_ptr<const SessionReport> report = take(nonce);
  return report ? report->json() : "";
}

std::vector<KeptValue> take_values(const std::string& nonce) {
  const std::shared_ptr<const SessionReport> report = take(nonce);
  return report ? report->values() : std::vector<KeptValue>();
}

}  // namespace sparsecpu
