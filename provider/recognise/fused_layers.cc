// FusedConv and FusedGemm of com.microsoft: a layer with the activation behind it, as onnxruntime saves an optimized
// model.
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

// A number of the activation: FusedConv has them in a list, FusedGemm each under its name.
float parameter(const Node& node, size_t index, const char* name, float fallback) {
  const std::vector<float> list = node.attribute("activation_params", std::vector<float>{});
  return index < list.size() ? list[index] : node.attribute(name, fallback);
}

std::optional<Unary> activation_of(const Node& node) {
  const std::string type = node.attribute("activation", "");
  if (type == "Relu") return Unary{UnaryKind::kRelu};
  if (type == "Sigmoid") return Unary{UnaryKind::kSigmoid};
  if (type == "Tanh") return Unary{UnaryKind::kTanh};
  if (type == "LeakyRelu") return Unary{UnaryKind::kLeakyRelu, parameter(node, 0, "activation_alpha", 0.01f)};
  if (type == "HardSigmoid") {
    return Unary{UnaryKind::kHardSigmoid, parameter(node, 0, "activation_alpha", 0.2f),
                 parameter(node, 1, "activation_beta", 0.5f)};
  }
  constexpr float kLargest = std::numeric_limits<float>::max();
  if (type == "Clip")
    return Unary{UnaryKind::kClip, parameter(node, 0, "", -kLargest), parameter(node, 1, "", kLargest)};
  return std::nullopt;
}

}  // namespace

Meaning recognise_fused_layer(const RecogniseContext& context, const Node& node) {
  const std::optional<Unary> activation = activation_of(node);
  if (!activation) return decline("its activation '" + node.attribute("activation", "") + "' is not supported");
  const bool conv = node.op == "com.microsoft.FusedConv";
  if (conv && context.has_input(node, 3)) return decline("what it adds to the convolution is not supported");
  Meaning result = conv ? recognise_conv(context, node) : recognise_gemm(context, node);
  if (!result) return result;
  const int sums = ~static_cast<int>(result->size() - 1);  // the last of the values inside
  result->back().output = sums;
  result->push_back(Op{*activation, {sums}, node.outputs[0], -1, ""});
  return result;
}

}  // namespace sparsecpu
