// Which nodes form a unit, by structure alone.
#include <algorithm>
#include <array>

#include "recognise/quantized.h"

namespace sparsecpu {
namespace {

template <size_t n>
bool one_of(const std::string& type, const std::array<const char*, n>& names) {
  return std::find(names.begin(), names.end(), type) != names.end();
}

constexpr std::array kLinear{"Conv", "MatMul", "Gemm"};
constexpr std::array kManyInputs{"Add", "Mul", "Concat"};
constexpr std::array kOneInput{"MaxPool", "AveragePool", "GlobalAveragePool", "Sigmoid", "LeakyRelu", "Relu",
                               "Clip",    "HardSwish",   "HardSigmoid",       "Tanh",    "Gelu",      "Flatten",
                               "Reshape", "Squeeze",     "Unsqueeze",         "Resize"};

class Finder {
 public:
  explicit Finder(const Graph& graph) : graph_(graph), taken_(graph.nodes.size(), false) {}

  std::vector<Unit> run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (graph_.nodes[i].op == "DynamicQuantizeLinear") find_dynamic(static_cast<int>(i));
    }
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const int node = static_cast<int>(i);
      if (taken_[i]) continue;
      const std::string& type = graph_.nodes[i].op;
      if (type == "ConvInteger" || type == "MatMulInteger") {
        std::vector<int> chain{node};
        if (follow_integer(&chain, -1)) add(chain, node, chain.back());
      } else if (one_of(type, kLinear) || one_of(type, kManyInputs) || one_of(type, kOneInput)) {
        find_qdq(node);
      }
    }
    return std::move(units_);
  }

 private:
  const Node& at(int node) const { return graph_.nodes[node]; }
  bool is(int node, const char* type) const { return node >= 0 && at(node).op == type && !taken_[node]; }
  int next(int node) const { return at(node).outputs.size() == 1 ? sole_consumer(graph_, at(node).outputs[0]) : -1; }
  bool is_constant(int value) const { return value >= 0 && graph_.values[value].is_constant; }

  void add(std::vector<int> nodes, int main, int place) {
    std::sort(nodes.begin(), nodes.end());
    nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
    for (int node : nodes) taken_[node] = true;
    units_.push_back({std::move(nodes), main, place});
  }

  // The DequantizeLinear of an input, if this is its only use; else -1.
  int dequantizer(int value) const {
    const int producer = graph_.producer(value);
    return is(producer, "DequantizeLinear") && sole_consumer(graph_, value) >= 0 ? producer : -1;
  }

  void find_qdq(int main) {
    const Node& node = at(main);
    const bool linear = one_of(node.op, kLinear);
    const size_t needed = linear ? 2 : one_of(node.op, kManyInputs) ? node.inputs.size() : 1;
    std::vector<int> nodes{main};
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const int dq = dequantizer(node.inputs[i]);
      if (dq < 0 && i < needed) return;
      if (dq >= 0 && i >= needed && !linear) return;
      if (dq >= 0) nodes.push_back(dq);
    }
    int last = main;
    int after = next(main);
    if (is(after, "Relu") || is(after, "Clip")) {
      if (is(next(after), "QuantizeLinear")) {
        nodes.push_back(after);
        after = next(after);
      }
    }
    if (is(after, "QuantizeLinear")) {
      nodes.push_back(after);
      last = after;
    } else if (!linear) {
      return;  // its float output is what it is for
    }
    add(nodes, main, last);
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

  // A DynamicQuantizeLinear whose every use is such a chain.
  void find_dynamic(int main) {
    const Node& node = at(main);
    if (node.outputs.size() != 3) return;
    std::vector<int> nodes{main};
    for (int output : node.outputs) {
      if (output < 0 || graph_.values[output].is_graph_output) return;
    }
    for (int user : graph_.values[node.outputs[0]].consumers) {
      std::vector<int> chain{user};
      const bool right = (is(user, "MatMulInteger") || is(user, "ConvInteger")) &&
                         at(user).inputs[0] == node.outputs[0] && at(user).inputs.size() > 2 &&
                         at(user).inputs[2] == node.outputs[2];
      if (!right || !follow_integer(&chain, node.outputs[1])) return;
      nodes.insert(nodes.end(), chain.begin(), chain.end());
    }
    // The scales, and their products (which chains with equal weight scales share), have no other use.
    IndexList inner = node.outputs;
    for (int user : graph_.values[node.outputs[1]].consumers) {
      if (at(user).outputs.size() == 1) inner.push_back(at(user).outputs[0]);
    }
    for (int value : inner) {
      for (int user : graph_.values[value].consumers) {
        if (std::find(nodes.begin(), nodes.end(), user) == nodes.end()) return;
      }
    }
    if (nodes.size() > 1) add(nodes, main, main);
  }

  const Graph& graph_;
  std::vector<bool> taken_;
  std::vector<Unit> units_;
};

}  // namespace

std::vector<Unit> find_units(const Graph& graph) { return Finder(graph).run(); }

void join_dequantizers(const Graph& graph, RecognisedGraph* recognised) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Recognised& user = recognised->nodes[i];
    if (!user.ok() && user.unit < 0) continue;
    for (int input : graph.nodes[i].inputs) {
      const int dq = input >= 0 && graph.values[input].is_constant ? graph.values[input].producer : -1;
      if (dq < 0 || recognised->nodes[dq].unit >= 0) continue;
      if (user.unit < 0) {
        user.unit = static_cast<int>(recognised->units.size());
        recognised->units.push_back({{static_cast<int>(i)}, static_cast<int>(i), static_cast<int>(i)});
      }
      std::vector<int>& nodes = recognised->units[user.unit].nodes;
      nodes.insert(std::lower_bound(nodes.begin(), nodes.end(), dq), dq);
      recognised->nodes[dq] = {user.pattern, "", {}, user.unit};
    }
  }
}

Recognised recognise_unit(const RecogniseContext& context, const Unit& unit) {
  const std::string& type = context.graph.nodes[unit.main].op;
  const bool integer = type == "DynamicQuantizeLinear" || type == "ConvInteger" || type == "MatMulInteger";
  Recognised result = integer ? recognise_integer_chain(context, unit) : recognise_qdq(context, unit);
  name_ops(context.graph, unit.main, &result);
  return result;
}

}  // namespace sparsecpu
