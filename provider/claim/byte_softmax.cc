#include "claim/byte_softmax.h"

#include "claim/heads.h"
#include "claim/patterns.h"
#include "claim/quantized.h"

namespace sparsecpu {
namespace {

// Functions of bytes on the way back from a value, as one table.
class Tables {
 public:
  explicit Tables(const RecogniseContext& context) : context_(context) {}

  // One step further; false where there is none.
  bool step_back(int* value) {
    auto link = link_of(context_, *value, true);
    if (!link || !link->function) return false;
    *value = link->input;
    links_.push_back(std::move(*link));
    return true;
  }

  // False: they are more than one function of bytes.
  bool read(std::optional<Lookup>* table, std::vector<int>* nodes) const {
    const std::vector<OpData> functions = joined_functions(links_, links_.size());
    if (functions.size() > 1) return false;
    if (!functions.empty()) {
      const auto* lookup = std::get_if<Lookup>(&functions.front());
      if (lookup == nullptr) return false;
      *table = *lookup;
    }
    for (const Link& link : links_) nodes->insert(nodes->end(), link.nodes.begin(), link.nodes.end());
    return true;
  }

 private:
  const RecogniseContext& context_;
  std::vector<Link> links_;
};

// The softmax operator whose bytes these are.
std::optional<FoundByteSoftmax> softmax_before(const RecogniseContext& context, int value) {
  const Graph& graph = context.graph;
  const int last = value >= 0 ? graph.values[value].producer : -1;
  if (last < 0) return std::nullopt;
  FoundByteSoftmax found;
  int dequantize = -1, quantize = -1;
  if (graph.nodes[last].op_type == "QLinearSoftmax") {
    found.main = last;
    found.nodes = {last};
    found.scores = graph.nodes[last].inputs[0];
    const auto x = quantization_of(context, last, 1), y = quantization_of(context, last, 3);
    if (!x || !y) return std::nullopt;
    found.meaning.x = *x;
    found.meaning.y = *y;
    return found;
  }
  quantize = made_by(graph, value, "QuantizeLinear");
  if (quantize < 0) return std::nullopt;
  const int weights = graph.nodes[quantize].inputs[0];
  found.main = made_by(graph, weights, "Softmax");
  if (found.main < 0) return std::nullopt;
  const int scores = graph.nodes[found.main].inputs[0];
  dequantize = made_by(graph, scores, "DequantizeLinear");
  if (dequantize < 0 || sole_consumer(graph, scores) < 0 || sole_consumer(graph, weights) < 0) return std::nullopt;
  const auto x = quantization_of(context, dequantize, 1), y = quantization_of(context, quantize, 1);
  if (!x || !y || x->is_signed != y->is_signed) return std::nullopt;
  found.meaning.x = *x;
  found.meaning.y = *y;
  found.nodes = {dequantize, found.main, quantize};
  found.scores = graph.nodes[dequantize].inputs[0];
  return found;
}

}  // namespace

std::optional<FoundByteSoftmax> find_byte_softmax(const RecogniseContext& context, int weights) {
  Tables after(context), before(context);
  auto found = softmax_before(context, weights);
  while (!found && after.step_back(&weights)) found = softmax_before(context, weights);
  if (!found || !after.read(&found->meaning.after, &found->nodes)) return std::nullopt;
  while (!find_product(context, found->scores) && before.step_back(&found->scores)) continue;
  if (!before.read(&found->meaning.before, &found->nodes)) return std::nullopt;
  return found;
}

}  // namespace sparsecpu
