// ConvInteger and MatMulInteger with what turns their int32 result into floats.
#include <algorithm>

#include "facts/constants.h"
#include "recognise/conv.h"
#include "recognise/quantized.h"
#include "recognise/recognisers.h"
#include "recognise/units.h"

namespace sparsecpu {
namespace {

class IntegerChain {
 public:
  // dynamic: the DynamicQuantizeLinear before it, or null.
  IntegerChain(const RecogniseContext& context, int main, const Node* dynamic)
      : context_(context),
        node_(context.graph.nodes[main]),
        main_(main),
        scale_(dynamic != nullptr ? dynamic->outputs[1] : -1),
        sized_(dynamic != nullptr ? dynamic->inputs[0] : node_.inputs[0]) {}

  // Of one chain.
  Result<Op> read() {
    QuantizedLinear linear;
    linear.output = QuantizedLinear::Output::kFloat;
    linear.dynamic_input = scale_ >= 0;
    if (Check ok = read_operator(&linear); !ok) return ok.reason();
    const int rank = std::max(2, context_.rank(sized_));
    const int channel = linear.axes == Axes::kTokens ? rank - 1 : 1;
    int last = sole_consumer(context_.graph, node_.outputs[0]);
    if (at(last).op == "Add") {
      const Value& bias = constant_of(last);
      if (Check ok = read_int_bias(bias, rank, channel, linear.out_channels, &linear.bias); !ok) return ok.reason();
      last = sole_consumer(context_.graph, at(last).outputs[0]);
    }
    if (at(last).attribute("to", int64_t{0}) != static_cast<int64_t>(ElementType::kFloat)) {
      return decline("its sums are not cast to float32");
    }
    last = sole_consumer(context_.graph, at(last).outputs[0]);
    const Value& scales = scale_ < 0 ? constant_of(last) : dynamic_scales(last);
    if (Check ok = check_vector(scales.constant.dims, rank, channel, linear.out_channels); !ok)
      return decline("its scale of " + ok.why());
    const auto floats = constant_floats(scales);
    if (!floats) return decline("its scale cannot be used: " + floats.why());
    if (floats->empty()) return decline("its scale is empty");
    linear.multiplier = *floats;
    linear.multiplier.resize(linear.out_channels, floats->front());
    return Op{std::move(linear), {node_.inputs[0]}, at(last).outputs[0], main_, ""};
  }

 private:
  const Node& at(int node) const { return context_.graph.nodes[node]; }

  const Value& constant_of(int node) const {
    const Value& first = context_.value(at(node).inputs[0]);
    return first.is_constant ? first : context_.value(at(node).inputs[1]);
  }
  const Value& dynamic_scales(int mul) const {
    for (int input : at(mul).inputs) {
      const Node* product = producer_of(context_.graph, input);
      if (product == nullptr || product->op != "Mul") continue;
      return context_.value(product->inputs[product->inputs[0] == scale_ ? 1 : 0]);
    }
    return context_.value(-1);
  }

  Check read_operator(QuantizedLinear* linear) {
    const int x = node_.inputs[0];
    if (!is_byte(context_.value(x).type)) return decline("its input is not uint8 or int8");
    linear->x.is_signed = context_.value(x).type == ElementType::kInt8;
    if (const Value* zero = context_.input(node_, 2); zero != nullptr && !linear->dynamic_input) {
      const auto number = constant_number(*zero);
      if (!number) return decline("the zero point of its input is not a constant number");
      linear->x.zero_point = static_cast<int32_t>(*number);
    }
    const bool conv = node_.op == "ConvInteger";
    QuantizedWeight weight;
    Check ok = read_weight(context_.input(node_, 1), nullptr, context_.input(node_, 3), !conv, &weight);
    if (!ok) return ok;
    linear->weight = weight.view;
    if (!conv) return set_token_geometry(context_, node_, sized_, linear);
    ConvGeometry geometry;
    ok = read_conv_geometry(context_, node_, sized_, context_.value(node_.inputs[1]).constant.dims, &geometry);
    set_conv_geometry(geometry, linear);
    return ok;
  }

  const RecogniseContext& context_;
  const Node& node_;
  const int main_;
  const int scale_;  // the run-time scale, or -1
  const int sized_;  // a value of its input's shape: of bytes inside the unit nothing is known
};

}  // namespace

std::optional<Match> match_dynamic_quantization(const RecogniseContext& context, int place) {
  const std::optional<Unit> unit = dynamic_unit(context.graph, place);
  if (!unit) return std::nullopt;
  const Table<Node>& nodes = context.graph.nodes;
  const Node& node = nodes[place];
  Match match{*unit, "", accept(DynamicQuantize{}, {node.inputs[0]}, node.outputs[0])};
  for (int member : unit->nodes) {
    const std::string& type = nodes[member].op;
    if (type != "MatMulInteger" && type != "ConvInteger") continue;
    match.pattern = type == "ConvInteger" ? "dynamic conv" : "dynamic matmul";
    Result<Op> chain = IntegerChain(context, member, &node).read();
    if (!chain) {
      match.meaning = decline("'" + nodes[member].name + "': " + chain.why());
      break;
    }
    match.meaning->push_back(std::move(*chain));
  }
  return match;
}

std::optional<Match> match_integer_chain(const RecogniseContext& context, int place) {
  const std::optional<Unit> unit = integer_unit(context.graph, place);
  if (!unit) return std::nullopt;
  Result<Op> chain = IntegerChain(context, unit->main, nullptr).read();
  const bool conv = context.graph.nodes[unit->main].op == "ConvInteger";
  return Match{*unit, conv ? "integer conv" : "integer matmul", chain ? Meaning(Ops{*chain}) : chain.reason()};
}

}  // namespace sparsecpu
