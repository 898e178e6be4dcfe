// What nodes mean together, or why they stay outside: what every recogniser answers.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "recognise/context.h"

namespace sparsecpu {

// inputs, output: value indices of the Graph; ~k is the k-th value inside.
using Ops = std::vector<Op>;
using Meaning = Result<Ops>;
Meaning accept(OpData data, std::vector<int> inputs, int output);

// A chain of Ops inside one node.
class OpChain {
 public:
  // The value that the Op makes.
  int add(OpData data, std::vector<int> inputs) {
    const int made = ~static_cast<int>(ops_.size());
    ops_.push_back(Op{std::move(data), std::move(inputs), made, -1, ""});
    return made;
  }
  bool empty() const { return ops_.empty(); }
  // The last Op makes the node's output.
  Ops finish(int output) {
    ops_.back().output = output;
    return std::move(ops_);
  }

 private:
  Ops ops_;
};

// Nodes that stand for one operator and are taken whole or not at all. Either nodes that only the last of them leaves
// (DequantizeLinears, operator, activation, QuantizeLinear; patterns/), or a DynamicQuantizeLinear with all that it
// feeds, which only its first node enters: so contracting units leaves a graph acyclic.
struct Unit {
  std::vector<int> nodes;  // ascending; none: the place alone
  int main = -1;           // the operator itself
  int place = -1;          // its last node; of a DynamicQuantizeLinear: its first. Stands for the unit in node order
};

// What a recogniser takes, and what that means.
struct Match {
  Unit unit;
  std::string pattern;  // as reports call it; "": as they call its main node
  Meaning meaning;      // or why nodes that look like it are not it
};
// The match whose place is this node, if there is one.
using Matcher = std::optional<Match> (*)(const RecogniseContext&, int node);

}  // namespace sparsecpu
