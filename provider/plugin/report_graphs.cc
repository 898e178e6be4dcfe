// The graphs and regions of a report: what GetCapability is shown, and what Compile makes of it.
#include <algorithm>
#include <map>
#include <utility>

#include "base/name.h"
#include "plugin/report.h"

namespace sparsecpu {
namespace {

std::vector<std::string> value_names(const Graph& graph, const IndexList& values) {
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

// A node as its region computes it. Several Ops may stand for one node.
struct NodeUse {
  std::vector<std::string> kernels;  // in order, each once
  int64_t packed_bytes = 0;
  int computed_in = -1;  // another node of the graph, if that has all of it
};

std::map<int, NodeUse> uses_of(const Region& region) {
  std::map<int, NodeUse> uses;
  const std::vector<Op>& ops = region.ops().ops;
  const std::vector<OpReport>& reports = region.reports();
  for (size_t i = 0; i < ops.size(); ++i) {
    NodeUse& use = uses[ops[i].node];
    use.packed_bytes += reports[i].packed_bytes;
    const std::string& kernel = reports[i].kernel;
    const int host = ops[static_cast<size_t>(reports[i].computed_with)].node;
    if (use.kernels.empty()) use.computed_in = host;
    if (host == ops[i].node) use.computed_in = -1;
    if (std::find(use.kernels.begin(), use.kernels.end(), kernel) == use.kernels.end()) use.kernels.push_back(kernel);
  }
  return uses;
}

// Whether a graph is the one of these nodes with functions among them written out: it makes all that they made, some of
// it by another operator.
bool has_functions_of(const std::vector<NodeReport>& before, const Graph& graph) {
  std::map<std::string, const Node*> makers;
  for (const Node& node : graph.nodes) {
    for (const std::string& output : value_names(graph, node.outputs)) makers[output] = &node;
  }
  bool written_out = false;
  for (const NodeReport& old : before) {
    for (const std::string& output : old.outputs) {
      const auto maker = makers.find(output);
      if (maker == makers.end()) return false;
      written_out |= maker->second->op_type != old.op_type || maker->second->domain != old.domain;
    }
  }
  return written_out;
}

}  // namespace

// Where the report of this graph is. ONNX Runtime shows the graphs of a model again once it has inlined functions in
// them: what it shows last holds. Names alone do not tell, both branches of an If may have one; but each pass over the
// model ends with its main graph, save the first, which sees the graphs with functions alone.
size_t SessionReport::place_of(const Graph& graph, const std::string& parent_node) {
  const auto found = std::find_if(graphs_.begin(), graphs_.end(), [&](const GraphReport& before) {
    return before.name == graph.name && before.parent_node == parent_node &&
           (before.pass < pass_ || has_functions_of(before.nodes, graph));
  });
  const auto place = static_cast<size_t>(found - graphs_.begin());
  if (found == graphs_.end()) graphs_.push_back({graph.name, parent_node, "", {}, 0});
  graphs_[place].pass = pass_;
  if (parent_node.empty()) ++pass_;
  return place;
}

// The nodes of a graph, with those of a compiled region in place of the node that it was fused into. Returns where each
// node of `graph` is in the report; -1: it stands for a region.
std::vector<int> SessionReport::show_nodes(size_t place, const Graph& graph) {
  std::vector<NodeReport>& nodes = graphs_[place].nodes;
  std::vector<NodeReport> before = std::exchange(nodes, {});
  std::vector<int> shown, moved(before.size(), -1);
  for (const Node& node : graph.nodes) {
    const auto region = std::find_if(regions_.begin(), regions_.end(), [&](const RegionReport& candidate) {
      return candidate.graph == place && !candidate.fused_name.empty() && candidate.fused_name == node.name;
    });
    shown.push_back(region == regions_.end() ? static_cast<int>(nodes.size()) : -1);
    if (region == regions_.end()) {
      nodes.push_back(node_report(graph, node));
      continue;
    }
    for (int old : region->nodes) {
      moved[static_cast<size_t>(old)] = static_cast<int>(nodes.size());
      nodes.push_back(std::move(before[static_cast<size_t>(old)]));
    }
  }
  for (RegionReport& region : regions_) {
    if (region.graph == place) move_region(moved, &region);
  }
  return shown;
}

// `moved`: where each node of the region's graph is now, -1: nowhere.
void SessionReport::move_region(const std::vector<int>& moved, RegionReport* region) {
  const auto move = [&](int* node) {
    if (*node >= 0) *node = moved[static_cast<size_t>(*node)];
  };
  std::for_each(region->op_nodes.begin(), region->op_nodes.end(), [&](int& node) { move(&node); });
  for (int& node : region->nodes) {
    move(&node);
    if (node < 0) return forget(region);
    NodeReport& report = graphs_[region->graph].nodes[static_cast<size_t>(node)];
    move(&report.decision.unit);
    move(&report.computed_in);
  }
}

void SessionReport::forget(RegionReport* region) {
  region->nodes.clear();
  region->op_nodes.clear();
  region->times.reset();
  region->values.reset();
}

bool SessionReport::shows(size_t number) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !regions_[number].nodes.empty();
}

void SessionReport::add_failed_graph(const Graph& graph, const std::string& parent_node, const std::string& error) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t place = place_of(graph, parent_node);
  graphs_[place].error = error;
  for (int index : show_nodes(place, graph)) {
    if (index < 0) continue;
    NodeDecision& decision = graphs_[place].nodes[static_cast<size_t>(index)].decision;
    decision.unit = index;
    decision.reason = "the graph could not be analysed: " + error;
  }
}

size_t SessionReport::add_graph(const Graph& graph, const std::string& parent_node, const ClaimResult& result) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t place = place_of(graph, parent_node), first_region = regions_.size();
  graphs_[place].error.clear();
  const std::vector<int> shown = show_nodes(place, graph);
  for (const std::vector<int>& nodes : result.regions) {
    RegionReport& region = regions_.emplace_back();
    region.graph = place;
    region.claimed_nodes = nodes;
    for (int node : nodes) region.nodes.push_back(shown[static_cast<size_t>(node)]);
  }
  for (size_t i = 0; i < shown.size() && i < result.decisions.size(); ++i) {
    if (shown[i] < 0) continue;
    NodeReport& node = graphs_[place].nodes[static_cast<size_t>(shown[i])];
    node.decision = result.decisions[i];
    if (node.decision.unit >= 0) node.decision.unit = shown[static_cast<size_t>(node.decision.unit)];
    if (node.decision.region >= 0) {
      node.decision.region += static_cast<int>(first_region);
      node.provider = kProviderName;
    }
  }
  assumed_.insert(result.assumed.begin(), result.assumed.end());
  return first_region;
}

bool SessionReport::assumes(const std::string& axis) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return assumed_.count(axis) > 0;
}

void SessionReport::add_packed(int64_t layers) {
  const std::lock_guard<std::mutex> lock(mutex_);
  layers_packed_ += layers;
}

void SessionReport::add_compiled(size_t number, const FusedNode& compiled) {
  const std::lock_guard<std::mutex> lock(mutex_);
  RegionReport& region = regions_[number];
  region.fused_name = compiled.name();
  region.times = compiled.times();
  region.values = compiled.values();
  std::map<int, int> shown;  // node of the graph as it was claimed -> of the report
  for (size_t i = 0; i < region.nodes.size(); ++i) shown[region.claimed_nodes[i]] = region.nodes[i];
  for (const Op& op : compiled.region().ops().ops) region.op_nodes.push_back(shown.at(op.node));
  std::vector<NodeReport>& nodes = graphs_[region.graph].nodes;
  std::map<int, NodeUse> uses = uses_of(compiled.region());
  for (const auto& [claimed, index] : shown) {
    const NodeUse& use = uses[claimed];
    NodeReport& node = nodes[static_cast<size_t>(index)];
    for (const std::string& kernel : use.kernels) node.kernel += (node.kernel.empty() ? "" : ", ") + kernel;
    node.packed_bytes = use.packed_bytes;
    node.computed_in = use.computed_in >= 0 ? shown.at(use.computed_in) : -1;
    if (use.kernels.empty() && node.decision.unit != index) node.computed_in = node.decision.unit;
  }
}

}  // namespace sparsecpu
