#include "recognise/patterns/byte_softmax.h"

#include <algorithm>
#include <array>

#include "facts/constants.h"
#include "recognise/patterns/heads.h"
#include "recognise/patterns/patterns.h"
#include "recognise/quantized.h"

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
  const int last = graph.producer(value);
  if (last < 0) return std::nullopt;
  FoundByteSoftmax found;
  if (graph.nodes[last].op == "com.microsoft.QLinearSoftmax") {
    found.main = last;
    found.nodes = {last};
    found.scores = graph.nodes[last].inputs[0];
    const auto x = quantization_of(context, last, 1), y = quantization_of(context, last, 3);
    if (!x || !y) return std::nullopt;
    found.meaning.x = *x;
    found.meaning.y = *y;
    return found;
  }
  const int quantize = made_by(graph, value, "QuantizeLinear");
  if (quantize < 0) return std::nullopt;
  const int weights = graph.nodes[quantize].inputs[0];
  found.main = made_by(graph, weights, "Softmax");
  if (found.main < 0) return std::nullopt;
  const int scores = graph.nodes[found.main].inputs[0];
  const int dequantize = made_by(graph, scores, "DequantizeLinear");
  if (dequantize < 0 || sole_consumer(graph, scores) < 0 || sole_consumer(graph, weights) < 0) return std::nullopt;
  const auto x = quantization_of(context, dequantize, 1), y = quantization_of(context, quantize, 1);
  if (!x || !y || x->is_signed != y->is_signed) return std::nullopt;
  found.meaning.x = *x;
  found.meaning.y = *y;
  found.nodes = {dequantize, found.main, quantize};
  found.scores = graph.nodes[dequantize].inputs[0];
  return found;
}

// Back from the scores to the product, through functions of bytes; false: there is no product.
bool read_scores(const RecogniseContext& context, FoundByteSoftmax* found) {
  Tables before(context);
  while (!find_product(context, found->scores)) {
    if (!before.step_back(&found->scores)) return false;
  }
  if (before.read(&found->meaning.before, &found->nodes)) return true;
  found->scores = -1;
  return false;
}

// A sum of bytes: QLinearAdd, or an Add between DequantizeLinear and QuantizeLinear.
struct ByteSum {
  QuantizedAdd add;
  std::array<int, 2> operands{-1, -1};  // bytes
  std::vector<int> nodes;
};
std::optional<ByteSum> find_sum(const RecogniseContext& context, int value) {
  const Graph& graph = context.graph;
  const int last = graph.producer(value);
  if (last < 0) return std::nullopt;
  ByteSum sum;
  std::array<std::optional<Quantization>, 3> quantizations;
  if (graph.nodes[last].op == "com.microsoft.QLinearAdd") {
    sum.nodes = {last};
    sum.operands = {graph.nodes[last].inputs[0], graph.nodes[last].inputs[3]};
    quantizations = {quantization_of(context, last, 1), quantization_of(context, last, 4),
                     quantization_of(context, last, 6)};
  } else {
    const int quantize = made_by(graph, value, "QuantizeLinear");
    const int add = quantize < 0 ? -1 : made_by(graph, graph.nodes[quantize].inputs[0], "Add");
    if (add < 0) return std::nullopt;
    sum.nodes = {quantize, add};
    quantizations[2] = quantization_of(context, quantize, 1);
    for (size_t side = 0; side < 2; ++side) {
      const int dequantize = made_by(graph, graph.nodes[add].inputs[side], "DequantizeLinear");
      if (dequantize < 0) return std::nullopt;
      sum.nodes.push_back(dequantize);
      sum.operands[side] = graph.nodes[dequantize].inputs[0];
      quantizations[side] = quantization_of(context, dequantize, 1);
    }
  }
  for (const auto& quantization : quantizations) {
    if (!quantization || quantization->is_signed != quantizations[0]->is_signed) return std::nullopt;
  }
  const Quantization& y = *quantizations[2];
  sum.add = {*quantizations[0], *quantizations[1], y, y.lowest(), y.highest(), {}};
  return sum;
}

// The scores are a sum of masked ones.
bool read_masked_scores(const RecogniseContext& context, FoundByteSoftmax* found) {
  const auto sum = find_sum(context, found->scores);
  if (!sum) return false;
  for (const size_t side : {0, 1}) {
    FoundByteSoftmax masked = *found;
    masked.nodes.insert(masked.nodes.end(), sum->nodes.begin(), sum->nodes.end());
    masked.scores = sum->operands[side];
    masked.mask = sum->operands[1 - side];
    masked.meaning.sum = sum->add;
    masked.meaning.mask_first = side == 1;
    if (!read_scores(context, &masked)) continue;
    *found = std::move(masked);
    return true;
  }
  return false;
}

}  // namespace

std::optional<FoundByteSoftmax> find_byte_softmax(const RecogniseContext& context, int weights) {
  Tables after(context);
  auto found = softmax_before(context, weights);
  while (!found && after.step_back(&weights)) found = softmax_before(context, weights);
  if (!found || !after.read(&found->meaning.after, &found->nodes)) return std::nullopt;
  if (!read_masked_scores(context, &*found)) read_scores(context, &*found);
  return found;
}

Check fold_constant_mask(const RecogniseContext& context, FoundByteSoftmax* found) {
  const Constant& mask = context.value(found->mask).constant;
  const auto* bytes = static_cast<const uint8_t*>(mask.data);
  const auto count = static_cast<size_t>(element_count(mask.dims));
  if (bytes == nullptr || count == 0 || count != mask.bytes) return decline("its constant mask is malformed");
  if (!std::all_of(bytes, bytes + count, [&](uint8_t byte) { return byte == bytes[0]; }))
    return decline("its mask is a constant of different bytes");
  ByteSoftmax& softmax = found->meaning;
  const Shape scores = context.proven_dims(found->scores);
  const bool first = softmax.mask_first;
  const auto exchange = first ? exchanges_operands(mask.dims, scores) : exchanges_operands(scores, mask.dims);
  if (!exchange) return decline("its constant mask is added in an order that depends on its shape");
  const int32_t number = softmax.sum->y.is_signed ? static_cast<int8_t>(bytes[0]) : bytes[0];
  Lookup table = add_table(*softmax.sum, number, first, *exchange);
  if (softmax.before) {
    for (uint8_t& byte : softmax.before->table) byte = table.table[byte];
    table = *softmax.before;
  }
  softmax.before = table;
  softmax.sum.reset();
  found->mask = -1;
  return {};
}

}  // namespace sparsecpu
