// MatMul and Gemm with constant weights, as linear layers over tokens.
#include <algorithm>

#include "facts/constants.h"
#include "recognise/quantized.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

// Whether the right side can be used as weights.
Check check_weights(const RecogniseContext& context, const Node& node) {
  const Value *left = context.input(node, 0), *right = context.input(node, 1);
  if (right == nullptr || left == nullptr) return decline("an input is missing");
  if (!right->is_constant) {
    if (Check ok = check_not_dequantized(context, node.inputs[1]); !ok) return ok;
    return decline(left->is_constant
                       ? "its weights '" + left->name + "' are the left side; only a constant right side is supported"
                       : "both sides are activations; the right side has to be constant");
  }
  const Check ok = check_constant(*right, ElementType::kFloat);
  if (!ok) return decline("its weights cannot be used: " + ok.why());
  const std::vector<int64_t>& dims = right->constant.dims;
  if (dims.size() != 2) return decline("its weights have shape " + dims_text(dims) + "; rank 2 is expected");
  if (element_count(dims) == 0) return decline("its weights are empty, shape " + dims_text(dims));
  if (reinterpret_cast<uintptr_t>(right->constant.data) % alignof(float) != 0) {
    return decline("its weights '" + right->name + "' are not aligned to 4 bytes");
  }
  return {};
}

// Weights stored as [k, n], or [n, k] when transposed.
Linear token_linear(const Constant& weight, bool transposed, float scale) {
  Linear linear;
  linear.axes = Axes::kTokens;
  linear.in_channels = weight.dims[transposed ? 1 : 0];
  linear.out_channels = weight.dims[transposed ? 0 : 1];
  const int64_t columns = weight.dims[1];
  linear.weight = {static_cast<const float*>(weight.data),
                   linear.out_channels,
                   linear.in_channels,
                   1,
                   transposed ? columns : 1,
                   transposed ? 1 : columns,
                   1,
                   scale};
  return linear;
}

Check check_channels(const RecogniseContext& context, int x, int axis, int64_t expected) {
  const int64_t channels = context.static_dim(x, axis);
  if (channels < 0 || channels == expected) return {};
  return decline("its input has " + std::to_string(channels) + " channels, its weights expect " +
                 std::to_string(expected));
}

// Gemm's C as a bias of n channels. False if it is no constant vector.
bool read_bias(const Value& c, int64_t n, float beta, std::vector<float>* bias) {
  const auto floats = constant_floats(c);
  if (!floats) return false;
  if (!check_vector(c.constant.dims, 2, 1, n)) return false;
  *bias = *floats;
  bias->resize(n, floats->front());
  for (float& b : *bias) b *= beta;
  return true;
}

}  // namespace

Meaning recognise_matmul(const RecogniseContext& context, const Node& node) {
  const Value* weight = context.input(node, 1);
  if (Check ok = check_weights(context, node); !ok) return ok.reason();
  const int x = node.inputs[0];
  const int rank = context.rank(x);
  if (rank < 0) return decline("the rank of its input is unknown");
  if (rank < 2) return decline("its input has rank " + std::to_string(rank) + "; at least 2 is expected");
  // FusedMatMul
  if (node.attribute("transA", int64_t{0}) != 0 || node.attribute("transBatchA", int64_t{0}) != 0 ||
      node.attribute("transBatchB", int64_t{0}) != 0) {
    return decline("its input is transposed");
  }
  const bool transposed = node.attribute("transB", int64_t{0}) != 0;
  Linear linear = token_linear(weight->constant, transposed, node.attribute("alpha", 1.0f));
  if (Check ok = check_channels(context, x, rank - 1, linear.in_channels); !ok) {
    return ok.reason();
  }
  linear.of_vector = OfVector::kVector;
  return accept(std::move(linear), {x}, node.outputs[0]);
}

Meaning recognise_gemm(const RecogniseContext& context, const Node& node) {
  const Value* weight = context.input(node, 1);
  if (Check ok = check_weights(context, node); !ok) return ok.reason();
  const int x = node.inputs[0];
  if (const int rank = context.rank(x); rank >= 0 && rank != 2) {
    return decline("its input has rank " + std::to_string(rank) + "; 2 is expected");
  }
  const bool transpose_weight = node.attribute("transB", int64_t{0}) != 0;
  Linear linear = token_linear(weight->constant, transpose_weight, node.attribute("alpha", 1.0f));
  linear.transposed_input = node.attribute("transA", int64_t{0}) != 0;
  linear.of_vector = OfVector::kMatrix;
  if (Check ok = check_channels(context, x, linear.transposed_input ? 0 : 1, linear.in_channels); !ok) {
    return ok.reason();
  }
  const float beta = node.attribute("beta", 1.0f);
  const Value* c = context.input(node, 2);
  if (c == nullptr || beta == 0.0f) return accept(std::move(linear), {x}, node.outputs[0]);
  if (c->is_constant && read_bias(*c, linear.out_channels, beta, &linear.bias)) {
    return accept(std::move(linear), {x}, node.outputs[0]);
  }
  if (c->type != ElementType::kFloat) return decline("its C is not float32");
  const int full = node.inputs[2];
  if (context.rank(full) != 2 || context.static_dim(full, 1) != linear.out_channels ||
      !same_dim(context, full, 0, x, linear.transposed_input ? 1 : 0)) {
    return decline("its C of shape " + dims_text(c->dims) + " is no bias of " + std::to_string(linear.out_channels) +
                   " channels and is not known to have the shape of its output");
  }
  Ops result{{std::move(linear), {x}, ~0, -1, ""}};
  int addend = full;
  if (beta != 1.0f) {
    result.push_back(Op{Affine{Axes::kTokens, {beta}, {kNoShift}}, {full}, ~1, -1, ""});
    addend = ~1;
  }
  result.push_back(Op{Binary{BinaryKind::kAdd}, {~0, addend}, node.outputs[0], -1, ""});
  return result;
}

}  // namespace sparsecpu
