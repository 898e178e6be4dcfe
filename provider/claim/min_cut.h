// Minimum cut of a graph with non-negative capacities (Dinic's algorithm).
#pragma once
#include <cstddef>
#include <vector>

namespace sparsecpu {

class MinCut {
 public:
  static constexpr double kInfinite = 1e12;  // microseconds; still exact to far below one next to real costs

  explicit MinCut(int vertices);  // vertex 0: source, 1: sink, 2...: yours
  int add_vertex();
  void add_edge(int from, int to, double capacity);
  // For every vertex whether it is on the source's side; of several minimum cuts the one with the fewest
  // vertices there.
  std::vector<bool> solve();

 private:
  struct Edge {
    int to;
    double left;  // residual capacity
  };
  bool layer();
  double push(int start);

  std::vector<Edge> edges_;  // edge e and its reverse e ^ 1
  std::vector<std::vector<int>> out_;
  std::vector<int> depth_;
  std::vector<size_t> next_;
};

}  // namespace sparsecpu
