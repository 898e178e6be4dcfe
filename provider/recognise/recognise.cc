#include "recognise/recognise.h"

#include <algorithm>

#include "facts/assume.h"
#include "recognise/recognisers.h"
#include "recognise/units.h"

namespace sparsecpu {
namespace {

// An image is no list of tokens: where a node reads one as the other, it is left alone.
Check check_axes(const RecogniseContext& context, const Ops& ops) {
  for (const Op& op : ops) {
    const std::optional<Axes> own = op.own_axes();
    for (int input : op.inputs) {
      if (input < 0) continue;
      const std::optional<Axes> have = context.facts[input].axes;
      if (own && have && *own != *have)
        return decline("it takes an image for a list of tokens, or the other way round");
      const std::optional<LinearShape> layer = op.layer();
      if (layer && layer->transposed_input && context.value(input).producer >= 0) {
        return decline("transA is supported on inputs of the model only");
      }
    }
  }
  return {};
}

void name_ops(const Graph& graph, int main, Ops* ops) {
  for (Op& op : *ops) {
    if (op.node < 0) op.node = main;
    const Node& node = graph.nodes[op.node];
    op.name = node.name.empty() ? node.op_type + " #" + std::to_string(op.node) : node.name;
  }
}

class Recognition {
 public:
  Recognition(const Graph& graph, const SymbolSizes& given)
      : graph_(graph), result_(unknown(graph)), context_{graph, result_.facts}, shapes_(graph, given, &result_.facts) {}

  RecognisedGraph run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (result_.nodes[i].unit < 0) visit(static_cast<int>(i));
    }
    join_dequantizers();
    result_.assumed = shapes_.symbols();
    return std::move(result_);
  }

 private:
  // Why a match was not taken, for its main node if that means nothing by itself.
  struct Refusal {
    int main = -1;
    std::string pattern, reason;
  };

  static RecognisedGraph unknown(const Graph& graph) {
    RecognisedGraph result;
    result.facts.resize(graph.values.size());
    result.nodes.resize(graph.nodes.size());
    return result;
  }

  void visit(int node) {
    for (int input : graph_.nodes[node].inputs) shapes_.ensure(input);
    std::vector<Refusal> refusals;
    bool is_alone = false;
    for (const Matcher match : matchers_at(graph_.nodes[node])) {
      std::optional<Match> found = match(context_, node);
      if (!found) continue;
      if (found->unit.place == found->unit.main && found->unit.nodes.empty()) {
        take_alone(std::move(*found));
        is_alone = true;
      } else if (is_alone && !is_free(found->unit)) {
        continue;  // its nodes are a part of another pattern
      } else if (const Check taken = take_unit(*found); taken) {
        break;
      } else {
        // What is no unit keeps the name of its operator, what is no pattern gets that of the pattern.
        refusals.push_back({found->unit.main, is_alone ? found->pattern : "", taken.why()});
      }
    }
    for (Refusal& refusal : refusals) {
      Recognised& main = result_.nodes[refusal.main];
      if (main.ok() || main.unit >= 0) continue;
      main.reason = std::move(refusal.reason);
      if (!refusal.pattern.empty()) main.pattern = std::move(refusal.pattern);
    }
  }

  void take_alone(Match found) {
    const int node = found.unit.place;
    Recognised& result = result_.nodes[node];
    result.pattern = std::move(found.pattern);
    Check works = check(found.meaning);
    static const Ops kNone;
    const Check fits = shapes_.propagate(graph_.nodes[node], works ? *found.meaning : kNone);
    if (works) works = fits;
    if (!works) {
      result.reason = works.why();
      return;
    }
    result.ops = std::move(*found.meaning);
    name_ops(graph_, node, &result.ops);
  }

  // Smaller units are given up if they are wholly inside.
  bool is_free(const Unit& whole) const {
    return std::all_of(whole.nodes.begin(), whole.nodes.end(), [&](int node) {
      const int unit = result_.nodes[node].unit;
      if (unit < 0) return true;
      const std::vector<int>& taken = result_.units[unit].nodes;
      return std::includes(whole.nodes.begin(), whole.nodes.end(), taken.begin(), taken.end());
    });
  }

  Check take_unit(Match& found) {
    if (!is_free(found.unit)) return decline("a part of it belongs to the attention before it");
    if (const Check works = check(found.meaning); !works) return works;
    if (const Check fits = shapes_.propagate(graph_.nodes[found.unit.place], *found.meaning); !fits) return fits;
    name_ops(graph_, found.unit.main, &*found.meaning);
    for (int member : found.unit.nodes)
      result_.nodes[member] = {found.pattern, "", {}, static_cast<int>(result_.units.size())};
    result_.nodes[found.unit.place].ops = std::move(*found.meaning);
    result_.units.push_back(std::move(found.unit));
    return {};
  }

  Check check(const Meaning& meaning) const {
    return meaning ? check_axes(context_, *meaning) : Check(meaning.reason());
  }

  // A recognised node makes one unit with the DequantizeLinears of its constants (graph/dequantized.h).
  void join_dequantizers() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      Recognised& user = result_.nodes[i];
      if (!user.ok() && user.unit < 0) continue;
      for (int input : graph_.nodes[i].inputs) {
        const int dq = input >= 0 && graph_.values[input].is_constant ? graph_.values[input].producer : -1;
        if (dq < 0 || result_.nodes[dq].unit >= 0) continue;
        if (user.unit < 0) {
          user.unit = static_cast<int>(result_.units.size());
          result_.units.push_back({{static_cast<int>(i)}, static_cast<int>(i), static_cast<int>(i)});
        }
        std::vector<int>& nodes = result_.units[user.unit].nodes;
        nodes.insert(std::lower_bound(nodes.begin(), nodes.end(), dq), dq);
        result_.nodes[dq] = {user.pattern, "", {}, user.unit};
      }
    }
  }

  const Graph& graph_;
  RecognisedGraph result_;
  const RecogniseContext context_;
  AssumedShapes shapes_;
};

}  // namespace

RecognisedGraph recognise_graph(const Graph& graph, const SymbolSizes& given) {
  return Recognition(graph, given).run();
}

}  // namespace sparsecpu
