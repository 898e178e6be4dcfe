// ConvInteger and MatMulInteger with what turns their int32 result into floats.
#include <algorithm>

#include "facts/constants.h"
#include "recognise/quantized.h"

namespace sparsecpu {
namespace {

class IntegerChain {
 public:
  IntegerChain(const RecogniseContext& context, int main)
      : context_(context), node_(context.graph.nodes[main]), main_(main) {}

  // Ops of one chain. scale: the value of the run-time scale, or -1.
  std::string read(int scale, Recognised* result) {
    QuantizedLinear linear;
    linear.output = QuantizedLinear::Output::kFloat;
    linear.dynamic_input = scale >= 0;
    if (std::string problem = read_operator(&linear); !problem.empty()) return problem;
    const int rank = std::max(2, context_.rank(node_.inputs[0]));
    const int channel = linear.axes == Axes::kTokens ? rank - 1 : 1;
    int last = sole_consumer(context_.graph, node_.outputs[0]);
    if (at(last).op == "Add") {
      const Value& bias = constant_of(last);
      if (std::string p = read_int_bias(bias, rank, channel, linear.out_channels, &linear.bias); !p.empty()) return p;
      last = sole_consumer(context_.graph, at(last).outputs[0]);
    }
    if (at(last).attribute("to", int64_t{0}) != static_cast<int64_t>(ElementType::kFloat)) {
      return "its sums are not cast to float32";
    }
    last = sole_consumer(context_.graph, at(last).outputs[0]);
    const Value& scales = scale < 0 ? constant_of(last) : dynamic_scales(last, scale);
    if (std::string p = vector_problem(scales.constant.dims, rank, channel, linear.out_channels); !p.empty())
      return "its scale of " + p;
    const auto floats = constant_floats(scales);
    if (!floats || floats->empty()) return "its scale cannot be used: " + constant_problem(scales, ElementType::kFloat);
    linear.multiplier = *floats;
    linear.multiplier.resize(linear.out_channels, floats->front());
    result->ops.push_back(Op{std::move(linear), {node_.inputs[0]}, at(last).outputs[0], main_, ""});
    return "";
  }

 private:
  const Node& at(int node) const { return context_.graph.nodes[node]; }

  const Value& constant_of(int node) const {
    const Value& first = context_.value(at(node).inputs[0]);
    return first.is_constant ? first : context_.value(at(node).inputs[1]);
  }
  const Value& dynamic_scales(int mul, int scale) const {
    for (int input : at(mul).inputs) {
      const Node* product = producer_of(context_.graph, input);
      if (product == nullptr || product->op != "Mul") continue;
      return context_.value(product->inputs[product->inputs[0] == scale ? 1 : 0]);
    }
    return context_.value(-1);
  }

  std::string read_operator(QuantizedLinear* linear) {
    const int x = node_.inputs[0];
    if (!is_byte(context_.value(x).type)) return "its input is not uint8 or int8";
    linear->x.is_signed = context_.value(x).type == ElementType::kInt8;
    if (const Value* zero = context_.input(node_, 2); zero != nullptr && !linear->dynamic_input) {
      const auto number = constant_number(*zero);
      if (!number) return "the zero point of its input is not a constant number";
      linear->x.zero_point = static_cast<int32_t>(*number);
    }
    const bool conv = node_.op == "ConvInteger";
    QuantizedWeight weight;
    std::string problem = read_weight(context_.input(node_, 1), nullptr, context_.input(node_, 3), !conv, &weight);
    if (!problem.empty()) return problem;
    linear->weight = weight.view;
    if (!conv) return set_token_geometry(context_, x, false, linear);
    ConvGeometry geometry;
    problem = read_conv_geometry(context_, node_, x, context_.value(node_.inputs[1]).constant.dims, &geometry);
    set_conv_geometry(geometry, linear);
    return problem;
  }

  const RecogniseContext& context_;
  const Node& node_;
  const int main_;
};

Recognised recognise_dynamic(const RecogniseContext& context, const Unit& unit) {
  const Table<Node>& nodes = context.graph.nodes;
  const Node& node = nodes[unit.main];
  // The rank of the bytes is that of the floats; the facts of inner values follow the unit's own.
  Recognised result = accept(DynamicQuantize{}, {node.inputs[0]}, node.outputs[0]);
  result.ops[0].node = unit.main;
  for (int member : unit.nodes) {
    const std::string& type = nodes[member].op;
    if (type != "MatMulInteger" && type != "ConvInteger") continue;
    result.pattern = type == "ConvInteger" ? "dynamic conv" : "dynamic matmul";
    if (std::string p = IntegerChain(context, member).read(node.outputs[1], &result); !p.empty()) {
      Recognised declined = decline("'" + nodes[member].name + "': " + p);
      declined.pattern = result.pattern;
      return declined;
    }
  }
  return result;
}

}  // namespace

Recognised recognise_integer_chain(const RecogniseContext& context, const Unit& unit) {
  if (context.graph.nodes[unit.main].op == "DynamicQuantizeLinear") return recognise_dynamic(context, unit);
  Recognised result;
  const std::string problem = IntegerChain(context, unit.main).read(-1, &result);
  if (!problem.empty()) result = decline(problem);
  result.pattern = context.graph.nodes[unit.main].op == "ConvInteger" ? "integer conv" : "integer matmul";
  return result;
}

}  // namespace sparsecpu
