#include "recognise/elementwise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "facts/constants.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Clip's bound: an input from opset 11 on, an attribute before; absent: unbounded. So is NaN, to onnxruntime.
Check read_bound(const RecogniseContext& context, const Node& node, size_t input, const char* key, float unbounded,
                 float* bound) {
  *bound = node.attribute(key, unbounded);
  const Value* value = context.input(node, input);
  if (value == nullptr) return {};
  const auto floats = constant_floats(*value);
  if (!floats) return decline("its bound cannot be used: " + floats.why());
  if (floats->size() != 1) return decline("its bound '" + value->name + "' is not a scalar");
  *bound = std::isnan(floats->front()) ? std::copysign(kInfinity, unbounded) : floats->front();
  return {};
}

Meaning recognise_clip(const RecogniseContext& context, const Node& node, int x) {
  Unary clip{UnaryKind::kClip, 0, 0};
  constexpr float kLargest = std::numeric_limits<float>::max();
  Check ok = read_bound(context, node, 1, "min", -kLargest, &clip.a);
  if (ok) ok = read_bound(context, node, 2, "max", kLargest, &clip.b);
  if (!ok) return ok.reason();
  return accept(clip, {x}, node.outputs[0]);
}

// A constant next to an activation: one number, or one a channel.
Check read_vector(const RecogniseContext& context, int x, const Value& constant, std::vector<float>* values,
                  Axes* axes) {
  auto floats = constant_floats(constant);
  if (!floats) return decline("its constant cannot be used: " + floats.why());
  *values = std::move(*floats);
  return read_axes(context, x, constant, axes);
}

Meaning recognise_prelu(const RecogniseContext& context, const Node& node, int x) {
  const Value* slope = context.input(node, 1);
  if (slope == nullptr || !slope->is_constant) return decline("its slope is not constant");
  PRelu prelu;
  if (Check ok = read_vector(context, x, *slope, &prelu.slope, &prelu.axes); !ok) return ok.reason();
  if (prelu.slope.size() > 1) return accept(std::move(prelu), {x}, node.outputs[0]);
  return accept(Unary{UnaryKind::kLeakyRelu, prelu.slope[0], 0}, {x}, node.outputs[0]);
}

Meaning recognise_gelu(const Node& node, int x) {
  const std::string form = node.attribute("approximate", "none");
  if (form != "none" && form != "tanh") return decline("approximate '" + form + "' is not known");
  return accept(Unary{form == "tanh" ? UnaryKind::kGeluTanh : UnaryKind::kGelu, 0, 0}, {x}, node.outputs[0]);
}

// alpha * (e^(x / alpha) - 1) below 0.
Meaning recognise_celu(const Node& node, int x) {
  const float alpha = node.attribute("alpha", 1.0f);
  const Unary elu{UnaryKind::kElu, alpha, alpha};
  if (alpha == 1.0f) return accept(elu, {x}, node.outputs[0]);
  if (!(alpha > 0) || !std::isnormal(alpha) || !std::isnormal(1.0f / alpha))
    return decline("its alpha is out of range");
  OpChain chain;
  chain.add(elu, {chain.add(Affine{Axes::kImage, {1.0f / alpha}, {kNoShift}}, {x})});
  return chain.finish(node.outputs[0]);
}

// Functions without parameters.
struct PlainFunction {
  std::string_view op;
  UnaryKind kind;
};
constexpr std::array kPlainFunctions{
    PlainFunction{"Relu", UnaryKind::kRelu},
    PlainFunction{"Sigmoid", UnaryKind::kSigmoid},
    PlainFunction{"HardSwish", UnaryKind::kHardSwish},
    PlainFunction{"Tanh", UnaryKind::kTanh},
    PlainFunction{"Erf", UnaryKind::kErf},
    PlainFunction{"Exp", UnaryKind::kExp},
    PlainFunction{"Softplus", UnaryKind::kSoftplus},
    PlainFunction{"Softsign", UnaryKind::kSoftsign},
    PlainFunction{"Sqrt", UnaryKind::kSqrt},
    PlainFunction{"Reciprocal", UnaryKind::kReciprocal},
    PlainFunction{"Abs", UnaryKind::kAbs},
    PlainFunction{"Round", UnaryKind::kRound},
    PlainFunction{"Floor", UnaryKind::kFloor},
    PlainFunction{"Ceil", UnaryKind::kCeil},
};

Meaning with_constant(const RecogniseContext& context, const Node& node, int x, const Value& constant,
                      bool constant_first) {
  Affine affine{Axes::kImage, {1.0f}, {kNoShift}};
  std::vector<float> values;
  if (Check ok = read_vector(context, x, constant, &values, &affine.axes); !ok) {
    return ok.reason();
  }
  if (node.op == "Add") {
    affine.shift = std::move(values);
  } else if (node.op == "Mul") {
    affine.scale = std::move(values);
  } else if (node.op == "Sub") {
    if (constant_first)
      affine.scale = {-1.0f};
    else
      for (float& v : values) v = -v;
    affine.shift = std::move(values);
  } else {
    if (constant_first) return decline("a constant divided by an activation is not supported");
    for (float& v : values) {
      // A quotient may be finite where the product with an inverse that under- or overflows is not.
      if (!std::isnormal(1.0f / v) && std::isfinite(v) && v != 0.0f)
        return decline("it divides by a number out of range");
      v = 1.0f / v;
    }
    affine.scale = std::move(values);
  }
  return accept(std::move(affine), {x}, node.outputs[0]);
}

// y is [n, c, 1, 1] next to x of [n, c, h, w].
bool broadcasts_over_pixels(const RecogniseContext& context, int x, int y) {
  if (context.rank(x) != 4 || context.rank(y) != 4) return false;
  return same_dim(context, x, 0, y, 0) && same_dim(context, x, 1, y, 1) && context.static_dim(y, 2) == 1 &&
         context.static_dim(y, 3) == 1;
}

// Whether two activations can be the operands of a Binary.
Check check_operands(const RecogniseContext& context, int x, int y) {
  if (context.value(y).type != context.value(x).type) return decline("its inputs have different types");
  const std::optional<Axes> a = context.facts[x].axes, b = context.facts[y].axes;
  if (a && b && *a != *b) return decline("one input is an image, the other a list of tokens");
  if (!same_shape(context, x, y)) {
    if (!broadcasts_over_pixels(context, x, y) && !broadcasts_over_pixels(context, y, x)) {
      return decline("its inputs of shapes " + dims_text(context.value(x).dims) + " and " +
                     dims_text(context.value(y).dims) + " are not known to be equal, nor is one [n,c,1,1]");
    }
    if (a.value_or(b.value_or(Axes::kImage)) == Axes::kTokens) return decline("tokens broadcast over their channels");
  }
  return {};
}

BinaryKind binary_kind(const std::string& op) {
  if (op == "Sub") return BinaryKind::kSub;
  if (op == "Mul") return BinaryKind::kMul;
  if (op == "Div") return BinaryKind::kDiv;
  if (op == "Max") return BinaryKind::kMax;
  if (op == "Min") return BinaryKind::kMin;
  return BinaryKind::kAdd;  // Add, Sum
}

// A constant among the operands of Max, Min or Sum: one number, joined with those before.
Check join_number(const Node& node, const Value& constant, int rank, std::optional<float>* number) {
  const auto floats = constant_floats(constant);
  if (!floats) return decline("its constant cannot be used: " + floats.why());
  if (floats->size() != 1 || std::isnan(floats->front()) ||
      static_cast<int>(constant.constant.dims.size()) > std::max(0, rank)) {
    return decline("its constant '" + constant.name + "' is not one number");
  }
  const float more = floats->front(), before = number->value_or(node.op == "Sum" ? 0.0f : more);
  *number = node.op == "Sum" ? before + more : node.op == "Max" ? std::max(before, more) : std::min(before, more);
  return {};
}

OpData op_of_number(const Node& node, float number) {
  if (node.op == "Sum") return Affine{Axes::kImage, {1.0f}, {number}};
  return node.op == "Max" ? Unary{UnaryKind::kClip, number, kInfinity} : Unary{UnaryKind::kClip, -kInfinity, number};
}

}  // namespace

Check read_axes(const RecogniseContext& context, int x, const Value& constant, Axes* axes) {
  const std::optional<Axes> have = context.facts[x].axes;
  *axes = have.value_or(Axes::kTokens);
  const std::vector<int64_t>& dims = constant.constant.dims;
  if (dims.empty()) return {};
  const int rank = context.rank(x);
  const int offset = rank - static_cast<int>(dims.size());
  const std::string shape = "its constant of shape " + dims_text(dims);
  if (rank < 0) return decline("the rank of its input is unknown");
  if (offset < 0) return decline(shape + " has a higher rank than its input");
  if (element_count(dims) == 1) return {};
  int axis = -1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 1) continue;
    if (axis >= 0 || dims[i] == 0) return decline(shape + " is neither a scalar nor a vector over channels");
    axis = offset + static_cast<int>(i);
  }
  const bool last = axis == rank - 1, second = axis == 1;
  if (!last && !(second && rank <= 4)) return decline(shape + " is not a vector over channels");
  // Rank 2: the channel is both the second and the last axis.
  if (rank > 2) *axes = last ? Axes::kTokens : Axes::kImage;
  if (rank > 2 && have && *have != *axes) {
    return decline(shape + (last ? " varies along the width of an image" : " varies along tokens") +
                   ", not along channels");
  }
  // Of one channel the CPU provider would make as many as the constant has.
  if (context.proven_dim(x, axis) != element_count(dims))
    return decline(shape + " does not fit the channels of its input");
  return {};
}

Meaning recognise_activation(const RecogniseContext& context, const Node& node) {
  const int x = node.inputs[0], output = node.outputs[0];
  const std::string& type = node.op;
  const auto unary = [&](UnaryKind kind, float a = 0, float b = 0) { return accept(Unary{kind, a, b}, {x}, output); };
  const auto plain = std::ranges::find(kPlainFunctions, type, &PlainFunction::op);
  if (plain != kPlainFunctions.end()) return unary(plain->kind);
  if (type == "Clip") return recognise_clip(context, node, x);
  if (type == "LeakyRelu") return unary(UnaryKind::kLeakyRelu, node.attribute("alpha", 0.01f));
  if (type == "PRelu") return recognise_prelu(context, node, x);
  if (type == "HardSigmoid") {
    return unary(UnaryKind::kHardSigmoid, node.attribute("alpha", 0.2f), node.attribute("beta", 0.5f));
  }
  if (type == "Elu") return unary(UnaryKind::kElu, node.attribute("alpha", 1.0f), 1);
  if (type == "Selu") {
    const float gamma = node.attribute("gamma", 1.05070099f);
    return unary(UnaryKind::kElu, gamma * node.attribute("alpha", 1.67326324f), gamma);
  }
  if (type == "Celu") return recognise_celu(node, x);
  if (type == "Neg") return accept(Affine{Axes::kImage, {-1.0f}, {kNoShift}}, {x}, output);
  if (type == "Gelu" || type == "com.microsoft.Gelu") return recognise_gelu(node, x);
  if (type == "com.microsoft.QuickGelu" || type == "Swish") {
    const float alpha = node.attribute("alpha", type == "Swish" ? 1.0f : 1.702f);
    return alpha > 0.0f ? unary(UnaryKind::kSilu, alpha) : decline("only a positive alpha is supported");
  }
  return decline("its function is not known");
}

// BiasGelu and FastGelu: GELU of x + bias.
Meaning recognise_biased_gelu(const RecogniseContext& context, const Node& node) {
  const int x = node.inputs[0], output = node.outputs[0];
  const Unary gelu{node.op == "com.microsoft.FastGelu" ? UnaryKind::kGeluTanh : UnaryKind::kGelu, 0, 0};
  if (!context.has_input(node, 1)) return accept(gelu, {x}, output);
  Affine add{Axes::kImage, {1.0f}, {}};
  if (Check ok = read_vector(context, x, context.value(node.inputs[1]), &add.shift, &add.axes); !ok) {
    return ok.reason();
  }
  OpChain chain;
  chain.add(gelu, {chain.add(std::move(add), {x})});
  return chain.finish(output);
}

Meaning recognise_arithmetic(const RecogniseContext& context, const Node& node) {
  const Value* a = context.input(node, 0);
  const Value* b = context.input(node, 1);
  if (a == nullptr || b == nullptr) return decline("an input is missing");
  if (a->is_constant) return with_constant(context, node, node.inputs[1], *a, true);
  if (b->is_constant) return with_constant(context, node, node.inputs[0], *b, false);
  if (Check ok = check_operands(context, node.inputs[0], node.inputs[1]); !ok) return ok.reason();
  return accept(Binary{binary_kind(node.op)}, {node.inputs[0], node.inputs[1]}, node.outputs[0]);
}

Meaning recognise_several(const RecogniseContext& context, const Node& node) {
  std::vector<int> activations;
  for (const int input : node.inputs) {
    if (input < 0) return decline("an input is missing");
    if (!context.value(input).is_constant) activations.push_back(input);
  }
  std::optional<float> number;
  for (const int input : node.inputs) {
    if (!context.value(input).is_constant) continue;
    const int rank = context.rank(activations[0]);
    if (Check ok = join_number(node, context.value(input), rank, &number); !ok) return ok.reason();
  }
  OpChain chain;
  int value = activations[0];
  for (size_t i = 1; i < activations.size(); ++i) {
    if (Check ok = check_operands(context, activations[0], activations[i]); !ok) return ok.reason();
    if (activations.size() > 2 && !same_shape(context, activations[0], activations[i]))
      return decline("more than two inputs, not known to have equal shapes");
    value = chain.add(Binary{binary_kind(node.op)}, {value, activations[i]});
  }
  if (number) chain.add(op_of_number(node, *number), {value});
  if (chain.empty()) return decline("it has one input");
  return chain.finish(node.outputs[0]);
}

Meaning recognise_power(const RecogniseContext& context, const Node& node) {
  if (context.number_beside(node.inputs[1], node.inputs[0]) != 2.0f) return decline("its exponent is not the number 2");
  return accept(Unary{UnaryKind::kSquare, 0, 0}, {node.inputs[0]}, node.outputs[0]);
}

}  // namespace sparsecpu
