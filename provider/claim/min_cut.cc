#include "claim/min_cut.h"

#include <algorithm>

namespace sparsecpu {
namespace {
constexpr double kNothing = 1e-9;  // microseconds: far below what any prediction means
}

MinCut::MinCut(int vertices) : out_(vertices) {}

int MinCut::add_vertex() {
  out_.emplace_back();
  return static_cast<int>(out_.size()) - 1;
}

void MinCut::add_edge(int from, int to, double capacity) {
  if (capacity <= 0 || from == to) return;
  out_[from].push_back(static_cast<int>(edges_.size()));
  edges_.push_back({to, std::min(capacity, kInfinite)});
  out_[to].push_back(static_cast<int>(edges_.size()));
  edges_.push_back({from, 0});
}

// Distances from the source over edges with capacity left; false if the sink is out of reach.
bool MinCut::layer() {
  depth_.assign(out_.size(), -1);
  depth_[0] = 0;
  std::vector<int> queue{0};
  for (size_t head = 0; head < queue.size(); ++head) {
    for (int e : out_[queue[head]]) {
      const Edge& edge = edges_[e];
      if (edge.left <= kNothing || depth_[edge.to] >= 0) continue;
      depth_[edge.to] = depth_[queue[head]] + 1;
      queue.push_back(edge.to);
    }
  }
  return depth_[1] >= 0;
}

// One augmenting path, found without recursion: graphs are thousands of nodes deep. Returns its flow.
double MinCut::push(int start) {
  std::vector<int> path;  // edges
  int at = start;
  while (at != 1) {
    bool advanced = false;
    for (; next_[at] < out_[at].size(); ++next_[at]) {
      const int e = out_[at][next_[at]];
      if (edges_[e].left > kNothing && depth_[edges_[e].to] == depth_[at] + 1) {
        path.push_back(e);
        at = edges_[e].to;
        advanced = true;
        break;
      }
    }
    if (advanced) continue;
    if (path.empty()) return 0;
    at = edges_[path.back() ^ 1].to;
    path.pop_back();
    ++next_[at];
  }
  double flow = kInfinite;
  for (int e : path) flow = std::min(flow, edges_[e].left);
  for (int e : path) {
    edges_[e].left -= flow;
    edges_[e ^ 1].left += flow;
  }
  return flow;
}

std::vector<bool> MinCut::solve() {
  while (layer()) {
    next_.assign(out_.size(), 0);
    while (push(0) > 0) {
    }
  }
  std::vector<bool> source(out_.size());
  for (size_t v = 0; v < out_.size(); ++v) source[v] = depth_[v] >= 0;
  return source;
}

}  // namespace sparsecpu
