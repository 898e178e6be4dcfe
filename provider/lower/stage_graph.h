// The stages of a region while they are fused: who makes which value, and which stages are gone.
#pragma once
#include <variant>
#include <vector>

#include "lower/stage.h"

namespace sparsecpu {

class StageGraph {
 public:
  explicit StageGraph(const OpGraph& graph);  // a stage for every Op

  const OpGraph& ops() const { return graph_; }
  int size() const { return static_cast<int>(stages_.size()); }
  Stage& at(int i) { return stages_[static_cast<size_t>(i)]; }
  bool alive(int i) const { return i >= 0 && alive_[static_cast<size_t>(i)]; }
  // In the order of stages: a fused stage stands where its last Op stood.
  int position(int i) const { return position_[static_cast<size_t>(i)]; }
  // The stage that makes `value` as its only use's input, or -1.
  int sole_producer(int value) const;
  template <class T>
  T* as(int i) {
    return alive(i) ? std::get_if<T>(&at(i).op.data) : nullptr;
  }

  void drop_use(int value) { --uses_[static_cast<size_t>(value)]; }
  void set_output(int i, int value);
  // Stage `into` takes the place of stage `last`: its output, its position in the order, and its Ops.
  void absorb(int into, int last);
  // Removes stage i, whose work stage `into` does.
  void swallow(int into, int i);

  std::vector<Stage> ordered() &&;

 private:
  const OpGraph& graph_;
  std::vector<Stage> stages_;
  std::vector<bool> alive_;
  std::vector<int> position_;
  std::vector<int> producer_;  // value -> stage
  std::vector<int> uses_;      // value -> number of uses, region outputs included
};

}  // namespace sparsecpu
