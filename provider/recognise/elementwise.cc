#include "recognise/elementwise.h"

#include <cmath>
#include <limits>

#include "facts/constants.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

// Clip's bound: an input from opset 11 on, an attribute before; absent: unbounded.
Check read_bound(const RecogniseContext& context, const Node& node, size_t input, const char* key, float unbounded,
                 float* bound) {
  *bound = node.attribute(key, unbounded);
  const Value* value = context.input(node, input);
  if (value == nullptr) return {};
  const auto floats = constant_floats(*value);
  if (!floats) return decline("its bound cannot be used: " + floats.why());
  if (floats->size() != 1) return decline("its bound '" + value->name + "' is not a scalar");
  *bound = floats->front();
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

Meaning recognise_prelu(const RecogniseContext& context, const Node& node, int x) {
  const Value* slope = context.input(node, 1);
  if (slope == nullptr) return decline("its slope is not one constant number");
  const auto floats = constant_floats(*slope);
  if (!floats || floats->size() != 1) return decline("its slope is not one constant number");
  if (static_cast<int>(slope->constant.dims.size()) > context.rank(x)) return decline("its slope changes the rank");
  return accept(Unary{UnaryKind::kLeakyRelu, floats->front(), 0}, {x}, node.outputs[0]);
}

Meaning recognise_gelu(const Node& node, int x) {
  const std::string form = node.attribute("approximate", "none");
  if (form != "none" && form != "tanh") return decline("approximate '" + form + "' is not known");
  return accept(Unary{form == "tanh" ? UnaryKind::kGeluTanh : UnaryKind::kGelu, 0, 0}, {x}, node.outputs[0]);
}

// A constant next to an activation: one number, or one a channel.
Check read_vector(const RecogniseContext& context, int x, const Value& constant, std::vector<float>* values,
                  Axes* axes) {
  auto floats = constant_floats(constant);
  if (!floats) return decline("its constant cannot be used: " + floats.why());
  *values = std::move(*floats);
  return read_axes(context, x, constant, axes);
}

Meaning with_constant(const RecogniseContext& context, const Node& node, int x, const Value& constant,
                      bool constant_first) {
  Affine affine{Axes::kImage, {1.0f}, {0.0f}};
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

Meaning with_activation(const RecogniseContext& context, const Node& node, int x, int y) {
  const int output = node.outputs[0];
  if (context.value(y).type != context.value(x).type) return decline("its inputs have different types");
  if (node.op == "Div") return decline("division by an activation is not supported");
  const BinaryKind kind = node.op == "Add" ? BinaryKind::kAdd : node.op == "Sub" ? BinaryKind::kSub : BinaryKind::kMul;
  const std::optional<Axes> a = context.facts[x].axes, b = context.facts[y].axes;
  if (a && b && *a != *b) return decline("one input is an image, the other a list of tokens");
  if (!same_shape(context, x, y)) {
    if (!broadcasts_over_pixels(context, x, y) && !broadcasts_over_pixels(context, y, x)) {
      return decline("its inputs of shapes " + dims_text(context.value(x).dims) + " and " +
                     dims_text(context.value(y).dims) + " are not known to be equal, nor is one [n,c,1,1]");
    }
    if (a.value_or(b.value_or(Axes::kImage)) == Axes::kTokens) return decline("tokens broadcast over their channels");
  }
  return accept(Binary{kind}, {x, y}, output);
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
  if (type == "Relu") return unary(UnaryKind::kRelu);
  if (type == "Clip") return recognise_clip(context, node, x);
  if (type == "LeakyRelu") return unary(UnaryKind::kLeakyRelu, node.attribute("alpha", 0.01f));
  if (type == "PRelu") return recognise_prelu(context, node, x);
  if (type == "Sigmoid") return unary(UnaryKind::kSigmoid);
  if (type == "HardSigmoid") {
    return unary(UnaryKind::kHardSigmoid, node.attribute("alpha", 0.2f), node.attribute("beta", 0.5f));
  }
  if (type == "HardSwish") return unary(UnaryKind::kHardSwish);
  if (type == "Gelu" || type == "com.microsoft.Gelu") return recognise_gelu(node, x);
  if (type == "com.microsoft.QuickGelu" || type == "Swish") {
    const float alpha = node.attribute("alpha", type == "Swish" ? 1.0f : 1.702f);
    return alpha > 0.0f ? unary(UnaryKind::kSilu, alpha) : decline("only a positive alpha is supported");
  }
  if (type == "Tanh") return unary(UnaryKind::kTanh);
  if (type == "Erf") return unary(UnaryKind::kErf);
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
  return Ops{{std::move(add), {x}, ~0, -1, ""}, {gelu, {~0}, output, -1, ""}};
}

Meaning recognise_arithmetic(const RecogniseContext& context, const Node& node) {
  const Value* a = context.input(node, 0);
  const Value* b = context.input(node, 1);
  if (a == nullptr || b == nullptr) return decline("an input is missing");
  if (a->is_constant) return with_constant(context, node, node.inputs[1], *a, true);
  if (b->is_constant) return with_constant(context, node, node.inputs[0], *b, false);
  return with_activation(context, node, node.inputs[0], node.inputs[1]);
}

}  // namespace sparsecpu
