#include "claim/select.h"

#include <algorithm>
#include <map>

#include "claim/min_cut.h"

namespace sparsecpu {
namespace {

constexpr int kHere = 0, kCpu = 1;  // source and sink

class Cut {
 public:
  Cut(const Pricing& pricing, const std::vector<bool>& allowed, const std::vector<int>& group)
      : pricing_(pricing), group_(group), vertex_(allowed.size(), kCpu), lost_(allowed.size(), -1), cut_(2) {
    for (size_t i = 0; i < allowed.size(); ++i) {
      if (allowed[i]) vertex_[i] = cut_.add_vertex();
    }
    for (size_t i = 0; i < allowed.size(); ++i) add_node(static_cast<int>(i));
    for (size_t v = 0; v < pricing.graph.values.size(); ++v) add_value(static_cast<int>(v));
  }

  std::vector<bool> solve() {
    const std::vector<bool> here = cut_.solve();
    std::vector<bool> result(vertex_.size());
    for (size_t i = 0; i < vertex_.size(); ++i) result[i] = vertex_[i] != kCpu && here[vertex_[i]];
    return result;
  }

 private:
  bool together(int a, int b) const {
    return a >= 0 && vertex_[a] != kCpu && vertex_[b] != kCpu && group_[a] == group_[b];
  }

  // An edge a -> b is paid when a is here and b on the CPU provider.
  void add_node(int i) {
    const NodeCost& cost = pricing_.nodes[i];
    const int before = cost.before;
    // An outside node that loses its fusion when the node before it moves here.
    if (cost.fuses_on_cpu && before >= 0 && vertex_[before] != kCpu) {
      cut_.add_edge(vertex_[before], vertex_[i], cost.cpu_us - cost.fused_cpu_us);
    }
    add_layout(i);
    add_form(i);
    if (vertex_[i] == kCpu) return;
    if (const int other = pricing_.goes_with[i]; other >= 0) {
      cut_.add_edge(vertex_[i], vertex_[other], MinCut::kInfinite);
    }
    cut_.add_edge(kHere, vertex_[i], pricing_.forced[i] ? MinCut::kInfinite : cost.fused_cpu_us);
    if (!cost.fuses_here) {
      cut_.add_edge(vertex_[i], kCpu, cost.here_us);
      return;
    }
    cut_.add_edge(vertex_[i], kCpu, cost.fused_here_us);
    cut_.add_edge(vertex_[i], together(before, i) ? vertex_[before] : kCpu, cost.here_us - cost.fused_here_us);
  }

  // A vertex that is here if a node is whose layout this one follows.
  void add_layout(int i) {
    const LayoutLoss& layout = pricing_.nodes[i].layout;
    if (layout.before < 0) return;
    lost_[i] = cut_.add_vertex();
    if (lost_[layout.before] >= 0) cut_.add_edge(lost_[layout.before], lost_[i], MinCut::kInfinite);
    if (vertex_[layout.before] != kCpu) cut_.add_edge(vertex_[layout.before], lost_[i], MinCut::kInfinite);
    cut_.add_edge(lost_[i], vertex_[i], layout.us);
  }

  // A vertex that is here if a node is with which this one has its form on the CPU provider.
  void add_form(int i) {
    const FormLoss& loss = pricing_.nodes[i].form_loss;
    if (loss.us <= 0) return;
    const int lost = cut_.add_vertex();
    for (int neighbour : loss.neighbours) {
      if (vertex_[neighbour] != kCpu) cut_.add_edge(vertex_[neighbour], lost, MinCut::kInfinite);
    }
    cut_.add_edge(lost, vertex_[i], loss.us);
  }

  // However many consumers a value has, it is converted once a group.
  void add_value(int index) {
    const Value& value = pricing_.graph.values[index];
    if (value.is_constant) return;
    const EdgeCost& edge = pricing_.values[index];
    const int producer = value.producer;
    const bool may_leave = producer >= 0 && vertex_[producer] != kCpu;
    int leaves = -1;  // here unless some consumer is not
    if (may_leave) {
      leaves = cut_.add_vertex();
      cut_.add_edge(vertex_[producer], leaves, edge.leave_us);
      if (value.is_graph_output) cut_.add_edge(leaves, kCpu, MinCut::kInfinite);
    }
    std::map<int, int> enters;  // group -> a vertex that is here if some consumer in it is
    for (int consumer : value.consumers) {
      const bool near = together(producer, consumer);
      if (may_leave) cut_.add_edge(leaves, near ? vertex_[consumer] : kCpu, MinCut::kInfinite);
      if (vertex_[consumer] == kCpu) continue;
      const auto [found, fresh] = enters.try_emplace(group_[consumer], -1);
      if (fresh) {
        found->second = cut_.add_vertex();
        cut_.add_edge(found->second, near ? vertex_[producer] : kCpu, edge.enter_us);
      }
      cut_.add_edge(vertex_[consumer], found->second, MinCut::kInfinite);
    }
  }

  const Pricing& pricing_;
  const std::vector<int>& group_;
  std::vector<int> vertex_;
  std::vector<int> lost_;  // of nodes on the CPU provider in a layout of their own, see add_layout
  MinCut cut_;
};

// What a node on the CPU provider loses in form, in equal parts to the groups around it.
void add_form_loss(const FormLoss& loss, const std::vector<int>& group, std::vector<GroupPrice>* prices) {
  std::vector<int> around;
  for (int neighbour : loss.neighbours) {
    if (group[neighbour] >= 0) around.push_back(group[neighbour]);
  }
  std::sort(around.begin(), around.end());
  around.erase(std::unique(around.begin(), around.end()), around.end());
  for (int g : around) (*prices)[g].edges_us += loss.us / static_cast<double>(around.size());
}

}  // namespace

std::vector<bool> select_nodes(const Pricing& pricing, const std::vector<bool>& allowed,
                               const std::vector<int>& group) {
  return Cut(pricing, allowed, group).solve();
}

std::vector<GroupPrice> price_groups(const Pricing& pricing, const std::vector<int>& group) {
  const int count = group.empty() ? 0 : 1 + std::max(-1, *std::max_element(group.begin(), group.end()));
  std::vector<GroupPrice> prices(count);
  for (GroupPrice& price : prices) price.edges_us = kRegionUs;
  for (size_t i = 0; i < group.size(); ++i) {
    const NodeCost& cost = pricing.nodes[i];
    const int before = cost.before >= 0 ? group[cost.before] : -1;
    if (cost.fuses_on_cpu && before >= 0 && before != group[i]) {
      prices[before].edges_us += cost.cpu_us - cost.fused_cpu_us;
    }
    if (group[i] < 0) {
      add_form_loss(cost.form_loss, group, &prices);
      int from = cost.layout.before;
      while (from >= 0 && group[from] < 0) from = pricing.nodes[from].layout.before;
      if (from >= 0) prices[group[from]].edges_us += cost.layout.us;
      continue;
    }
    prices[group[i]].cpu_us += cost.fused_cpu_us;
    prices[group[i]].here_us += cost.fuses_here && before == group[i] ? cost.fused_here_us : cost.here_us;
  }
  for (size_t v = 0; v < pricing.graph.values.size(); ++v) {
    const Value& value = pricing.graph.values[v];
    if (value.is_constant) continue;
    const int from = value.producer >= 0 ? group[value.producer] : -1;
    bool leaves = from >= 0 && value.is_graph_output;
    std::vector<int> entered;
    for (int consumer : value.consumers) {
      const int to = group[consumer];
      leaves |= from >= 0 && to != from;
      if (to >= 0 && to != from && std::find(entered.begin(), entered.end(), to) == entered.end())
        entered.push_back(to);
    }
    if (leaves) prices[from].edges_us += pricing.values[v].leave_us;
    for (int to : entered) prices[to].edges_us += pricing.values[v].enter_us;
  }
  return prices;
}

}  // namespace sparsecpu
