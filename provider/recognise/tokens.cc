// Operators over tokens that are one node: LayerNormalization, attention over joined heads, the choice of one token.
#include <algorithm>
#include <array>
#include <cmath>

#include "facts/constants.h"
#include "recognise/masks.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

int64_t channels_of(const RecogniseContext& context, int x) {
  const int rank = context.rank(x);
  return rank < 2 ? -1 : context.static_dim(x, rank - 1);
}

// x plus a constant vector, which may be absent.
int add_shift(int x, std::vector<float> shift, OpChain* chain) {
  return shift.empty() ? x : chain->add(Affine{Axes::kTokens, {1.0f}, std::move(shift)}, {x});
}

// Inputs of the operators that normalize tokens, by index; -1: it has none.
struct NormInputs {
  int scale, shift, bias;  // bias: of the sum with `skip`
  bool skip, centred;
};

NormInputs norm_inputs(const std::string& op) {
  if (op == "com.microsoft.SkipLayerNormalization") return {2, 3, 4, true, true};
  if (op == "com.microsoft.SkipSimplifiedLayerNormalization") return {2, -1, 3, true, false};
  if (op == "LayerNormalization") return {1, 2, -1, false, true};
  return {1, -1, -1, false, false};
}

Meaning skip_layer_norm(const RecogniseContext& context, const Node& node, LayerNorm norm, std::vector<float> bias) {
  const int x = node.inputs[0], skip = context.has_input(node, 1) ? node.inputs[1] : -1;
  if (skip < 0 || !same_shape(context, x, skip)) return decline("its inputs are not known to have equal shapes");
  OpChain chain;
  int sum = chain.add(Binary{BinaryKind::kAdd}, {x, skip});
  if (!bias.empty()) sum = add_shift(sum, std::move(bias), &chain);
  chain.add(std::move(norm), {sum});
  Ops result = chain.finish(node.outputs[0]);
  if (node.outputs.size() > 3 && node.outputs[3] >= 0) {  // the sum itself, too
    Op& making = result[result.size() - 2];
    result.back().inputs = {making.output = node.outputs[3]};
  }
  return result;
}

}  // namespace

Check fit_mask(const RecogniseContext& context, const ScoreAxes& scores, bool drops, Mask* mask) {
  const Value& value = context.value(mask->value);
  const int rank = context.rank(mask->value);
  const bool flags = value.type == ElementType::kBool;
  if (!flags && value.type != ElementType::kFloat && !is_byte(value.type))
    return decline("its mask is neither float32 nor bool");
  if (rank < 0 || rank > 4) return decline("the rank of its mask is unknown or above 4");
  for (int i = 0; i < rank; ++i) {
    const ScoreAxis& full = scores[i];
    const int axis = rank - 1 - i;
    const int64_t size = context.static_dim(mask->value, axis);
    const bool fits = size == 1 || (full.value >= 0 ? same_dim(context, mask->value, axis, full.value, full.axis)
                                                    : size >= 0 && size == full.axis);
    if (!fits) return decline("its mask of shape " + dims_text(value.dims) + " is not known to fit its scores");
  }
  mask->kind = !flags ? MaskKind::kAdded : drops ? MaskKind::kDrops : MaskKind::kKeeps;
  if (!value.is_constant || is_byte(value.type)) return {};
  if (!flags) {
    if (!constant_floats(value)) return decline("its constant mask is malformed");
    return {};
  }
  const int64_t count = element_count(value.constant.dims);
  const auto* bytes = static_cast<const uint8_t*>(value.constant.data);
  const bool nothing = bytes != nullptr && count == static_cast<int64_t>(value.constant.bytes) &&
                       std::all_of(bytes, bytes + count, [&](uint8_t flag) { return (flag != 0) != drops; });
  if (!nothing) return decline("its mask is a bool constant");
  *mask = {};
  return {};
}

Meaning recognise_layer_norm(const RecogniseContext& context, const Node& node) {
  const int x = node.inputs[0], rank = context.rank(x);
  const NormInputs inputs = norm_inputs(node.op);
  for (size_t i = 1; i < node.outputs.size(); ++i) {
    if (node.outputs[i] >= 0 && !(inputs.skip && i == 3)) return decline("its mean or deviation is used");
  }
  const int64_t channels = channels_of(context, x);
  if (channels < 0) return decline("its channel count is unknown");
  LayerNorm norm;
  norm.centred = inputs.centred;
  norm.epsilon = node.attribute("epsilon", inputs.skip ? 1e-12f : 1e-5f);
  const int64_t axis = node.attribute("axis", int64_t{-1});
  if (axis != -1 && axis != rank - 1) return decline("it is not over the last axis alone");
  std::vector<float> bias;
  const auto read = [&](int input, const char* what, std::vector<float>* values) -> Check {
    if (input < 0 || !context.has_input(node, static_cast<size_t>(input))) return {};
    return read_vector(context.input(node, static_cast<size_t>(input)), what, channels, values);
  };
  Check ok = read_vector(context.input(node, static_cast<size_t>(inputs.scale)), "scale", channels, &norm.scale);
  if (ok) ok = read(inputs.shift, "shift", &norm.shift);
  if (ok) ok = read(inputs.bias, "bias", &bias);
  if (!ok) return ok.reason();
  norm.shift.resize(norm.scale.size(), 0.0f);
  if (inputs.skip) return skip_layer_norm(context, node, std::move(norm), std::move(bias));
  return accept(std::move(norm), {x}, node.outputs[0]);
}

namespace {

// com.microsoft Attention: x times the joined weights of queries, keys and values.
Check joined_weights(const RecogniseContext& context, const Node& node, OpChain* chain, int* queries, int* keys,
                     int* values) {
  const Value* weight = context.input(node, 1);
  if (weight == nullptr || !check_constant(*weight, ElementType::kFloat) || weight->constant.dims.size() != 2 ||
      weight->constant.dims[1] % 3 != 0) {
    return decline("its weights are not a constant matrix of queries, keys and values");
  }
  if (reinterpret_cast<uintptr_t>(weight->constant.data) % alignof(float) != 0)
    return decline("its weights are not aligned");
  if (!node.attribute("qkv_hidden_sizes", std::vector<int64_t>{}).empty())
    return decline("qkv_hidden_sizes is not supported");
  const int64_t in = weight->constant.dims[0], out = weight->constant.dims[1], part = out / 3;
  Linear linear;
  linear.axes = Axes::kTokens;
  linear.in_channels = in;
  linear.out_channels = out;
  linear.weight = {static_cast<const float*>(weight->constant.data), out, in, 1, 1, out, 1, 1.0f};
  if (context.has_input(node, 2)) {
    if (Check ok = read_vector(context.input(node, 2), "bias", out, &linear.bias); !ok) return ok;
  }
  const int joined = chain->add(std::move(linear), {node.inputs[0]});
  *queries = chain->add(Split{Axes::kTokens, 0, part}, {joined});
  *keys = chain->add(Split{Axes::kTokens, part, 2 * part}, {joined});
  *values = chain->add(Split{Axes::kTokens, 2 * part, out}, {joined});
  return {};
}

// com.microsoft MultiHeadAttention: an optional constant bias of all three, joined.
Check add_biases(const RecogniseContext& context, const Node& node, OpChain* chain, std::array<int, 3>* sides) {
  std::array<int64_t, 3> widths{};
  int64_t sum = 0;
  for (size_t i = 0; i < 3; ++i) sum += widths[i] = channels_of(context, (*sides)[i]);
  std::vector<float> bias;
  if (Check ok = read_vector(context.input(node, 3), "bias", sum, &bias); !ok) return ok;
  auto begin = bias.begin();
  for (size_t i = 0; i < 3; ++i) {
    (*sides)[i] = add_shift((*sides)[i], std::vector<float>(begin, begin + widths[i]), chain);
    begin += widths[i];
  }
  return {};
}

// The inputs that may hold a mask, and the first one that is none of queries, keys, values, weights and biases.
struct MaskInputs {
  size_t first, keys, scores;  // keys: int32, com.microsoft's alone
};

MaskInputs mask_inputs(const Node& node) {
  if (node.op == "Attention") return {3, SIZE_MAX, 3};
  return node.op == "com.microsoft.Attention" ? MaskInputs{3, 3, 5} : MaskInputs{4, 4, 5};
}

// Which inputs and attributes are understood.
Check check_inputs(const Node& node, const MaskInputs& masks) {
  for (size_t i = masks.first; i < node.inputs.size(); ++i) {
    if (i != masks.keys && i != masks.scores && node.inputs[i] >= 0)
      return decline("its input " + std::to_string(i) +
                     " (keys and values of earlier tokens, or where they are) is not supported");
  }
  for (size_t i = 1; i < node.outputs.size(); ++i) {
    if (node.outputs[i] >= 0) return decline("only its first output is supported");
  }
  if (node.attribute("unidirectional", int64_t{0}) != 0 || node.attribute("is_causal", int64_t{0}) != 0 ||
      node.attribute("do_rotary", int64_t{0}) != 0 || node.attribute("softcap", 0.0f) != 0.0f) {
    return decline("causal, rotary and capped attention are not supported");
  }
  return {};
}

// Whether an int32 mask fits sides [batch, tokens, c]; a constant one that masks nothing is no mask afterwards.
Check fit_key_mask(const RecogniseContext& context, int queries, int keys, Mask* mask) {
  const Value& value = context.value(mask->value);
  const int rank = context.rank(mask->value);
  const auto axis_is = [&](int axis, int side, int of_side) {
    return same_dim(context, mask->value, axis, side, of_side);
  };
  bool fits = value.type == ElementType::kInt32 && rank >= 1 && rank <= 3 && axis_is(0, queries, 0);
  if (fits && rank > 1) fits = axis_is(rank - 1, keys, 1);
  if (fits && rank > 2) fits = axis_is(1, queries, 1);
  if (!fits) {
    return decline("its mask of keys of shape " + dims_text(value.dims) +
                   " is not known to be [batch], [batch, keys] or [batch, queries, keys] of int32");
  }
  mask->kind = rank == 1 ? MaskKind::kLengths : MaskKind::kPadding;
  if (!value.is_constant) return {};
  const auto numbers = constant_ints(value);
  const int64_t least = rank == 1 ? context.proven_dim(keys, 1) : 1;
  if (!numbers || least < 0 || std::any_of(numbers->begin(), numbers->end(), [&](int64_t n) { return n < least; }))
    return decline("its mask of keys is a constant");
  *mask = {};
  return {};
}

// The mask of a node whose sides are [batch, tokens, c].
Check read_mask(const RecogniseContext& context, const Node& node, int keys, int heads, Mask* mask) {
  const MaskInputs inputs = mask_inputs(node);
  const int q = node.inputs[0];
  const bool of_keys = context.has_input(node, inputs.keys), of_scores = context.has_input(node, inputs.scores);
  if (of_keys && of_scores) return decline("masks of keys and of scores together are not supported");
  if (!of_keys && !of_scores) return {};
  mask->value = node.inputs[of_keys ? inputs.keys : inputs.scores];
  if (of_keys) return fit_key_mask(context, q, keys, mask);
  return fit_mask(context, ScoreAxes{{{keys, 1}, {q, 1}, {-1, heads}, {q, 0}}}, false, mask);
}

}  // namespace

Meaning recognise_attention(const RecogniseContext& context, const Node& node) {
  const bool onnx = node.op == "Attention", joined = node.op == "com.microsoft.Attention";
  if (context.rank(node.inputs[0]) != 3) {
    return decline(onnx ? "its heads are not split from and joined to channels around it"
                        : "its input has to have rank 3");
  }
  if (Check ok = check_inputs(node, mask_inputs(node)); !ok) return ok.reason();
  FloatAttention attention;
  attention.heads = node.attribute(onnx ? "q_num_heads" : "num_heads", int64_t{0});
  if (attention.heads < 1) return decline("its number of heads is missing");
  if (onnx && node.attribute("kv_num_heads", attention.heads) != attention.heads)
    return decline("its keys have fewer heads than its queries");
  OpChain chain;
  std::array<int, 3> sides{};
  if (joined) {
    Check ok = joined_weights(context, node, &chain, &sides[0], &sides[1], &sides[2]);
    if (!ok) return ok.reason();
  } else {
    for (size_t i = 0; i < 3; ++i) {
      if (!context.has_input(node, i) || context.rank(node.inputs[i]) != 3 ||
          channels_of(context, node.inputs[i]) < 0 || context.value(node.inputs[i]).is_constant)
        return decline("its queries, keys and values are not three lists of tokens");
      sides[i] = node.inputs[i];
    }
  }
  const int64_t channels =
      joined ? context.value(node.inputs[1]).constant.dims[1] / 3 : channels_of(context, node.inputs[0]);
  if (channels % attention.heads != 0) return decline("its heads do not divide its channels");
  attention.scale = node.attribute("scale", 0.0f);
  if (attention.scale == 0.0f) {
    attention.scale = 1.0f / std::sqrt(static_cast<float>(channels) / static_cast<float>(attention.heads));
  }
  if (!onnx && !joined && context.has_input(node, 3)) {
    if (Check ok = add_biases(context, node, &chain, &sides); !ok) return ok.reason();
  }
  std::vector<int> inputs(sides.begin(), sides.end());
  Mask mask;
  const int keys = joined ? node.inputs[0] : node.inputs[1];
  Check ok = read_mask(context, node, keys, static_cast<int>(attention.heads), &mask);
  if (!ok) return ok.reason();
  attention.mask = mask.kind;
  if (onnx) attention.unattended = kUnattended;
  if (!onnx) attention.masked = node.attribute("mask_filter_value", -10000.0f);
  if (mask.value >= 0) inputs.push_back(mask.value);
  chain.add(attention, inputs);
  return chain.finish(node.outputs[0]);
}

Meaning recognise_select_token(const RecogniseContext& context, const Node& node) {
  const int x = node.inputs[0];
  const int64_t axis = node.attribute("axis", int64_t{0});
  if (context.rank(x) != 3 || (axis != 1 && axis != -2))
    return decline("it does not choose a token of [batch, tokens, c]");
  const Value* index = context.input(node, 1);
  if (index == nullptr) return decline("it does not choose one token");
  const auto numbers = constant_ints(*index);
  if (!numbers || numbers->size() != 1 || !index->constant.dims.empty()) return decline("it does not choose one token");
  const int64_t length = context.static_dim(x, 1);
  if (length >= 0 && (numbers->front() < -length || numbers->front() >= length))
    return decline("its index is out of range");
  return accept(SelectToken{numbers->front()}, {x}, node.outputs[0]);
}

}  // namespace sparsecpu
