#include "claim/region_ops.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "facts/constants.h"

namespace sparsecpu {
namespace {

class RegionBuilder {
 public:
  RegionBuilder(const Atoms& atoms, const std::vector<int>& members)
      : atoms_(atoms), members_(members), inside_(atoms.graph.nodes.size(), false) {
    for (int atom : members) inside_[static_cast<size_t>(atom)] = true;
  }

  RegionOps build() {
    for (int atom : members_) {
      for (const Op& op : atoms_.recognised.nodes[static_cast<size_t>(atom)].ops) add(op);
      hidden_.clear();
    }
    find_outputs();
    for (const Shape& shape : result_.assumed) {
      if (!shape.empty()) continue;
      result_.assumed.clear();
      break;
    }
    return std::move(result_);
  }

 private:
  const Value& value(int index) const { return atoms_.graph.values[static_cast<size_t>(index)]; }

  void add(const Op& op) {
    Op copy = op;
    for (int& input : copy.inputs) input = read(input);
    const bool hidden = op.output < 0;
    copy.output = hidden ? read(op.output) : place(op.output);
    if (hidden) {
      OpGraph& graph = result_.graph;
      graph.values[static_cast<size_t>(copy.output)].type =
          copy.result_type(graph.values[static_cast<size_t>(copy.inputs[0])].type);
    }
    result_.graph.ops.push_back(std::move(copy));
  }

  // The value's index in the region: a value inside one node, one made before, a constant or an input.
  int read(int index) {
    if (index < 0) {
      const auto [found, is_new] = hidden_.try_emplace(index, static_cast<int>(result_.graph.values.size()));
      if (is_new) result_.graph.values.emplace_back();
      return found->second;
    }
    if (const auto found = index_of_.find(index); found != index_of_.end()) return found->second;
    const int placed = place(index);
    const Value& from = value(index);
    if (from.is_constant) {
      const auto floats = constant_floats(from);
      if (!floats) throw Error(floats.why());
      result_.graph.values[static_cast<size_t>(placed)].constant = *floats;
      return placed;
    }
    if (from.producer >= 0 && inside_[static_cast<size_t>(from.producer)]) throw not_made(from);
    const std::optional<Shape>& assumed = atoms_.recognised.facts[static_cast<size_t>(index)].assumed;
    result_.graph.inputs.push_back(placed);
    result_.assumed.push_back(assumed.value_or(Shape{}));
    return placed;
  }

  int place(int index) {
    const auto [found, is_new] = index_of_.try_emplace(index, static_cast<int>(result_.graph.values.size()));
    const Value& from = value(index);
    if (is_new) result_.graph.values.push_back({from.name, from.has_shape, from.dims, from.type, {}});
    return found->second;
  }

  void find_outputs() {
    for (int atom : members_) {
      for (int output : atoms_.graph.nodes[static_cast<size_t>(atom)].outputs) {
        if (output < 0 || !leaves(value(output))) continue;
        const auto made = index_of_.find(output);
        if (made == index_of_.end()) throw not_made(value(output));
        result_.graph.outputs.push_back(made->second);
      }
    }
  }

  bool leaves(const Value& v) const {
    return v.is_graph_output || std::any_of(v.consumers.begin(), v.consumers.end(),
                                            [&](int consumer) { return !inside_[static_cast<size_t>(consumer)]; });
  }

  static Error not_made(const Value& v) {
    return Error("value '" + v.name + "' is used, but no operator that was recognised makes it");
  }

  const Atoms& atoms_;
  const std::vector<int>& members_;
  std::vector<bool> inside_;               // by atom
  std::unordered_map<int, int> index_of_;  // value of the graph -> of the region
  std::unordered_map<int, int> hidden_;    // the same for the values inside one node
  RegionOps result_;
};

}  // namespace

RegionOps region_ops(const Atoms& atoms, const std::vector<int>& members) {
  return RegionBuilder(atoms, members).build();
}

}  // namespace sparsecpu
