#include "claim/regions.h"

#include <algorithm>
#include <numeric>

namespace sparsecpu {
namespace {

using Edges = std::vector<std::vector<int>>;

class UnionFind {
 public:
  explicit UnionFind(size_t size) : parent_(size) { std::iota(parent_.begin(), parent_.end(), 0); }
  int find(int i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(int a, int b) { parent_[find(a)] = find(b); }

 private:
  std::vector<int> parent_;
};

// How often a path from the inputs to a node can leave the claimed nodes of one side. Along every edge it
// never falls, and a path from one claimed node to another that leaves them in between raises it. So claimed
// nodes of equal level and side may always share a group, and any such grouping is acyclic.
std::vector<int> levels(const Edges& next, const std::vector<bool>& claimed, const std::vector<int>& side) {
  std::vector<int> level(next.size(), 0);
  for (size_t i = 0; i < next.size(); ++i) {
    for (int to : next[i]) {
      const bool leaves = claimed[i] && (!claimed[to] || side[i] != side[to]);
      level[to] = std::max(level[to], level[i] + (leaves ? 1 : 0));
    }
  }
  return level;
}

// Pairs of claimed nodes that gain from being in one group.
std::vector<std::pair<int, int>> related_pairs(const Graph& graph, const std::vector<bool>& claimed) {
  std::vector<std::pair<int, int>> pairs;
  for (const Value& value : graph.values) {
    if (value.is_constant) continue;
    int first = value.producer >= 0 && claimed[value.producer] ? value.producer : -1;
    for (int consumer : value.consumers) {
      if (!claimed[consumer]) continue;
      if (first >= 0)
        pairs.emplace_back(first, consumer);
      else
        first = consumer;
    }
  }
  return pairs;
}

std::vector<int> number_groups(UnionFind* sets, const std::vector<bool>& claimed) {
  std::vector<int> number(claimed.size(), -1), group(claimed.size(), -1);
  int count = 0;
  for (size_t i = 0; i < claimed.size(); ++i) {
    if (!claimed[i]) continue;
    int& slot = number[sets->find(static_cast<int>(i))];
    if (slot < 0) slot = count++;
    group[i] = slot;
  }
  return group;
}

// Joins related groups of different levels where no path between them leaves both. Each attempt looks at
// the whole graph, so their number is bounded.
std::vector<int> merge_across_levels(const Edges& next, const std::vector<std::pair<int, int>>& pairs,
                                     const std::vector<int>& side, std::vector<int> group) {
  constexpr size_t kWork = 20'000'000;  // nodes looked at, about a second
  const size_t attempts = kWork / (next.size() + 1);
  std::vector<std::pair<int, int>> refused;
  size_t tried = 0;
  for (const auto& [a, b] : pairs) {
    const int from = group[b], to = group[a];
    if (from == to || side[a] != side[b]) continue;
    const auto key = std::minmax(from, to);
    if (std::find(refused.begin(), refused.end(), std::pair<int, int>(key)) != refused.end()) continue;
    if (++tried > attempts) break;
    std::vector<int> merged = group;
    std::replace(merged.begin(), merged.end(), from, to);
    if (contraction_is_acyclic(next, merged))
      group = std::move(merged);
    else
      refused.emplace_back(key);
  }
  return group;
}

}  // namespace

std::vector<std::vector<int>> successors(const Graph& graph) {
  Edges next(graph.nodes.size());
  const auto add = [&](int producer, int consumer) {
    if (producer >= 0 && producer != consumer) next[producer].push_back(consumer);
  };
  for (const Value& value : graph.values) {
    for (int consumer : value.consumers) add(value.producer, consumer);
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (int input : graph.nodes[i].inputs) {
      if (input >= 0) add(graph.values[input].producer, static_cast<int>(i));
    }
  }
  for (std::vector<int>& list : next) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  return next;
}

bool contraction_is_acyclic(const Edges& next, const std::vector<int>& group) {
  const int groups = group.empty() ? 0 : 1 + std::max(-1, *std::max_element(group.begin(), group.end()));
  // Vertices: the groups, then the nodes outside of them.
  const auto vertex = [&](int node) { return group[node] >= 0 ? group[node] : groups + node; };
  const size_t count = groups + next.size();
  std::vector<std::vector<int>> members(groups);
  std::vector<int> waiting(count, 0);  // edges from vertices that are not done
  for (size_t i = 0; i < next.size(); ++i) {
    if (group[i] >= 0) members[group[i]].push_back(static_cast<int>(i));
    for (int to : next[i]) waiting[vertex(to)] += vertex(static_cast<int>(i)) != vertex(to);
  }
  std::vector<int> ready;
  for (size_t v = 0; v < count; ++v) {
    if (waiting[v] == 0) ready.push_back(static_cast<int>(v));
  }
  size_t done = 0;
  while (!ready.empty()) {
    const int v = ready.back();
    ready.pop_back();
    ++done;
    const std::vector<int> alone{v - groups};
    const std::vector<int>& nodes = v < groups ? members[v] : alone;
    for (int node : nodes) {
      if (v >= groups && group[node] >= 0) continue;  // stands for nothing: its group does
      for (int to : next[node]) {
        if (vertex(to) != v && --waiting[vertex(to)] == 0) ready.push_back(vertex(to));
      }
    }
  }
  return done == count;
}

std::vector<int> form_groups(const Graph& graph, const std::vector<bool>& claimed, const std::vector<int>& side) {
  const Edges next = successors(graph);
  const std::vector<int> level = levels(next, claimed, side);
  const std::vector<std::pair<int, int>> pairs = related_pairs(graph, claimed);
  UnionFind sets(claimed.size());
  for (const auto& [a, b] : pairs) {
    if (level[a] == level[b] && side[a] == side[b]) sets.join(a, b);
  }
  const std::vector<int> by_level = number_groups(&sets, claimed);
  std::vector<int> merged = merge_across_levels(next, pairs, side, by_level);
  if (!contraction_is_acyclic(next, merged)) merged = by_level;
  UnionFind final_sets(claimed.size());
  std::vector<int> first(claimed.size(), -1);
  for (size_t i = 0; i < merged.size(); ++i) {
    if (merged[i] < 0) continue;
    if (first[merged[i]] < 0)
      first[merged[i]] = static_cast<int>(i);
    else
      final_sets.join(static_cast<int>(i), first[merged[i]]);
  }
  return number_groups(&final_sets, claimed);
}

}  // namespace sparsecpu
