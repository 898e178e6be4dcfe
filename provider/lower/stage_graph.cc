#include "lower/stage_graph.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace sparsecpu {

StageGraph::StageGraph(const OpGraph& graph)
    : graph_(graph), producer_(graph.values.size(), -1), uses_(graph.values.size(), 0) {
  for (size_t i = 0; i < graph.ops.size(); ++i) {
    Stage stage;
    stage.op = graph.ops[i];
    stage.clamp = kNoClamp;
    stage.op_indices = {static_cast<int>(i)};
    stages_.push_back(std::move(stage));
    producer_[static_cast<size_t>(graph.ops[i].output)] = static_cast<int>(i);
    for (int input : graph.ops[i].inputs) ++uses_[static_cast<size_t>(input)];
  }
  for (int output : graph.outputs) ++uses_[static_cast<size_t>(output)];
  alive_.assign(stages_.size(), true);
  position_.resize(stages_.size());
  std::iota(position_.begin(), position_.end(), 0);
}

int StageGraph::sole_producer(int value) const {
  const int i = producer_[static_cast<size_t>(value)];
  return alive(i) && uses_[static_cast<size_t>(value)] == 1 ? i : -1;
}

void StageGraph::set_output(int i, int value) {
  at(i).op.output = value;
  producer_[static_cast<size_t>(value)] = i;
}

void StageGraph::absorb(int into, int last) {
  set_output(into, at(last).op.output);
  position_[static_cast<size_t>(into)] = position(last);
  swallow(into, last);
}

void StageGraph::swallow(int into, int i) {
  Stage& target = at(into);
  target.op_indices.insert(target.op_indices.end(), at(i).op_indices.begin(), at(i).op_indices.end());
  alive_[static_cast<size_t>(i)] = false;
}

std::vector<Stage> StageGraph::ordered() && {
  std::vector<int> order;
  for (int i = 0; i < size(); ++i) {
    if (alive(i)) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](int a, int b) { return position(a) < position(b); });
  std::vector<Stage> result;
  for (int i : order) result.push_back(std::move(at(i)));
  return result;
}

}  // namespace sparsecpu
