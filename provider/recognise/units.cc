#include "recognise/units.h"

#include <algorithm>

#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

class Structure {
 public:
  explicit Structure(const Graph& graph) : graph_(graph) {}

  std::optional<Unit> qdq(int place) const {
    if (!is(place, "QuantizeLinear")) return qdq_of(place, place);
    const int before = graph_.producer(at(place).inputs[0]);
    if (before < 0) return std::nullopt;
    if (auto unit = qdq_of(before, place)) return unit;
    if (!is(before, "Relu") && !is(before, "Clip")) return std::nullopt;
    const int main = graph_.producer(at(before).inputs[0]);
    return main < 0 ? std::nullopt : qdq_of(main, place);
  }

  std::optional<Unit> integer(int place) const {
    for (int input : at(place).inputs) {
      int node = input < 0 ? -1 : graph_.producer(input);
      for (const char* type : {"Cast", "Add"}) {
        if (!is(node, type)) continue;
        for (int sums : at(node).inputs) {
          const int made = sums < 0 ? -1 : graph_.producer(sums);
          if (is_product(made) || is(made, "Add")) node = made;
        }
      }
      std::vector<int> chain{node};
      if (is_product(node) && follow_integer(&chain, -1) && chain.back() == place) return unit(chain, node, place);
    }
    return std::nullopt;
  }

  std::optional<Unit> dynamic(int main) const {
    const Node& node = at(main);
    if (node.outputs.size() != 3) return std::nullopt;
    std::vector<int> nodes{main};
    for (int output : node.outputs) {
      if (output < 0 || graph_.values[output].is_graph_output) return std::nullopt;
    }
    for (int user : graph_.values[node.outputs[0]].consumers) {
      std::vector<int> chain{user};
      const bool right = is_product(user) && at(user).inputs[0] == node.outputs[0] && at(user).inputs.size() > 2 &&
                         at(user).inputs[2] == node.outputs[2];
      if (!right || !follow_integer(&chain, node.outputs[1])) return std::nullopt;
      nodes.insert(nodes.end(), chain.begin(), chain.end());
    }
    // The scales, and their products (which chains with equal weight scales share), have no other use.
    IndexList inner = node.outputs;
    for (int user : graph_.values[node.outputs[1]].consumers) {
      if (at(user).outputs.size() == 1) inner.push_back(at(user).outputs[0]);
    }
    for (int value : inner) {
      for (int user : graph_.values[value].consumers) {
        if (std::find(nodes.begin(), nodes.end(), user) == nodes.end()) return std::nullopt;
      }
    }
    return nodes.size() > 1 ? std::optional(unit(nodes, main, main)) : std::nullopt;
  }

 private:
  const Node& at(int node) const { return graph_.nodes[node]; }
  bool is(int node, const char* type) const { return node >= 0 && at(node).op == type; }
  bool is_product(int node) const { return is(node, "MatMulInteger") || is(node, "ConvInteger"); }
  int next(int node) const { return at(node).outputs.size() == 1 ? sole_consumer(graph_, at(node).outputs[0]) : -1; }
  bool is_constant(int value) const { return value >= 0 && graph_.values[value].is_constant; }

  static Unit unit(std::vector<int> nodes, int main, int place) {
    std::sort(nodes.begin(), nodes.end());
    nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
    return {std::move(nodes), main, place};
  }

  // The DequantizeLinear of an input, if this is its only use; else -1.
  int dequantizer(int value) const {
    const int producer = graph_.producer(value);
    return is(producer, "DequantizeLinear") && sole_consumer(graph_, value) >= 0 ? producer : -1;
  }

  std::optional<Unit> qdq_of(int main, int place) const {
    const Node& node = at(main);
    const NodeRecogniser* recogniser = node_recogniser(node.op);
    const Quantized inputs = recogniser == nullptr ? Quantized::kNever : recogniser->quantized;
    if (inputs == Quantized::kNever) return std::nullopt;
    const bool layer = inputs == Quantized::kLayer;
    const size_t needed = layer ? 2 : inputs == Quantized::kAllInputs ? node.inputs.size() : 1;
    std::vector<int> nodes{main};
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const int dq = dequantizer(node.inputs[i]);
      if (dq < 0 && i < needed) return std::nullopt;
      if (dq >= 0 && i >= needed && !layer) return std::nullopt;
      if (dq >= 0) nodes.push_back(dq);
    }
    int last = main;
    int after = next(main);
    if ((is(after, "Relu") || is(after, "Clip")) && is(next(after), "QuantizeLinear")) {
      nodes.push_back(after);
      after = next(after);
    }
    if (is(after, "QuantizeLinear")) {
      nodes.push_back(after);
      last = after;
    } else if (!layer) {
      return std::nullopt;  // its float output is what it is for
    }
    return last == place ? std::optional(unit(nodes, main, last)) : std::nullopt;
  }

  // ConvInteger or MatMulInteger -> (Add of a constant) -> Cast -> Mul. With `scale` >= 0 the Mul takes that
  // run-time scale: itself times a constant.
  bool follow_integer(std::vector<int>* chain, int scale) const {
    int node = next(chain->back());
    if (is(node, "Add") && (is_constant(at(node).inputs[0]) || is_constant(at(node).inputs[1]))) {
      chain->push_back(node);
      node = next(node);
    }
    if (!is(node, "Cast")) return false;
    chain->push_back(node);
    const int cast = at(node).outputs[0];
    node = next(node);
    if (!is(node, "Mul")) return false;
    chain->push_back(node);
    const int factor = at(node).inputs[at(node).inputs[0] == cast ? 1 : 0];
    if (scale < 0) return is_constant(factor);
    const int product = graph_.values[factor].producer;
    if (!is(product, "Mul") || graph_.values[factor].is_graph_output) return false;
    const IndexList& inputs = at(product).inputs;
    if (!(inputs[0] == scale && is_constant(inputs[1])) && !(inputs[1] == scale && is_constant(inputs[0])))
      return false;
    chain->push_back(product);
    return true;
  }

  const Graph& graph_;
};

}  // namespace

std::optional<Unit> qdq_unit(const Graph& graph, int place) { return Structure(graph).qdq(place); }
std::optional<Unit> integer_unit(const Graph& graph, int place) { return Structure(graph).integer(place); }
std::optional<Unit> dynamic_unit(const Graph& graph, int place) { return Structure(graph).dynamic(place); }

}  // namespace sparsecpu
