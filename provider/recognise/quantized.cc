#include "recognise/quantized.h"

#include <algorithm>
#include <cmath>

#include "base/weight_rows.h"
#include "facts/constants.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

Check read_scales(const Value& value, std::vector<float>* scales) {
  const auto floats = constant_floats(value);
  if (!value.is_constant)
    return decline("its scale '" + value.name + "' is computed at run time; only constants are supported");
  if (!floats) return decline("its scale cannot be used: " + floats.why());
  for (float s : *floats) {
    if (!(s > 0) || !std::isfinite(s)) return decline("its scale '" + value.name + "' is not a positive number");
  }
  *scales = *floats;
  return {};
}

// w - zero point has to fit int8: the kernels multiply u8 by s8.
// Whether the integers that count are no int8, and what kernels can have of those.
Check read_range(const std::string& name, QuantizedWeightView* view) {
  const QuantizedWeightView& w = *view;
  bool usual = true;
  for (int64_t r = 0; r < (w.zero_point_stride != 0 ? w.rows : 1); ++r) {
    usual &= w.zero_point(r) == (w.is_signed ? 0 : 128);
  }
  if (usual) return {};
  int32_t least = 0, most = 0;
  for_each_weight_row(w, [&](int64_t, const int16_t* weights) {
    const auto [low, high] = std::minmax_element(weights, weights + w.taps * w.channels);
    least = std::min<int32_t>(least, *low);
    most = std::max<int32_t>(most, *high);
  });
  view->wide = !fits_byte(least) || !fits_byte(most);
  if (most <= kWidestWeight) return {};
  return decline("its weights '" + name + "' minus their zero points reach " + std::to_string(most) + "; up to " +
                 std::to_string(kWidestWeight) + " is supported (quantize the weights symmetrically)");
}

}  // namespace

Check read_quantization(const Value* scale, const Value* zero_point, Quantization* result) {
  if (scale == nullptr) return decline("it has no scale");
  std::vector<float> scales;
  if (Check ok = read_scales(*scale, &scales); !ok) return ok;
  if (scales.size() != 1 || scale->constant.dims.size() > 1)
    return decline("its activations have a scale per channel; one scale is supported");
  *result = {scales[0], 0, false};
  if (zero_point == nullptr) return {};
  if (!zero_point->is_constant) return decline("its zero point '" + zero_point->name + "' is computed at run time");
  const ElementType type = zero_point->constant.type;
  if (!is_byte(type)) {
    return decline("it quantizes to " + std::string(element_type_name(type)) + "; uint8 and int8 are supported");
  }
  const auto number = constant_number(*zero_point);
  if (!number) return decline("its zero point '" + zero_point->name + "' is not one number");
  result->zero_point = static_cast<int32_t>(*number);
  result->is_signed = type == ElementType::kInt8;
  return {};
}

Check read_quantization(const RecogniseContext& context, const Node& node, size_t scale, Quantization* result) {
  Check ok = read_quantization(context.input(node, scale), context.input(node, scale + 1), result);
  if (ok && !context.has_input(node, scale + 1)) {
    const int bytes = node.op == "QuantizeLinear" ? node.outputs[0] : node.inputs[0];
    result->is_signed = bytes >= 0 && context.value(bytes).type == ElementType::kInt8;
  }
  return ok;
}

Check read_weight(const Value* weight, const Value* scale, const Value* zero_point, bool columns,
                  QuantizedWeight* result) {
  if (weight == nullptr) return decline("it has no weights");
  if (!weight->is_constant) return decline("its weights '" + weight->name + "' are not constant");
  const ElementType type = weight->constant.type;
  if (!is_byte(type)) {
    return decline("its weights are " + std::string(element_type_name(type)) + "; uint8 and int8 are supported");
  }
  if (Check ok = check_constant(*weight, type); !ok) return ok;
  const std::vector<int64_t>& dims = weight->constant.dims;
  if (dims.size() < 2 || element_count(dims) == 0 || (columns && dims.size() != 2)) {
    return decline("its weights have shape " + dims_text(dims) + (columns ? "; rank 2 is expected" : ""));
  }
  QuantizedWeightView& view = result->view;
  view.data = weight->constant.data;
  view.is_signed = type == ElementType::kInt8;
  view.rows = dims[columns ? 1 : 0];
  view.channels = dims[columns ? 0 : 1];
  view.taps = element_count(dims) / (dims[0] * dims[1]);
  view.row_stride = columns ? 1 : dims[1] * view.taps;
  view.channel_stride = columns ? dims[1] : view.taps;
  const int rank = columns ? 2 : 1;  // of scale and zero point: [n], of columns also [1, n]
  if (scale != nullptr) {
    if (Check ok = read_scales(*scale, &result->scale); !ok) return ok;
    if (Check ok = check_vector(scale->constant.dims, rank, rank - 1, view.rows); !ok)
      return decline("the scale of its weights of " + ok.why() + " (blocks are not supported)");
  }
  if (zero_point != nullptr) {
    if (Check ok = check_constant(*zero_point, type); !ok) {
      return decline("the zero point of its weights cannot be used: " + ok.why());
    }
    if (Check ok = check_vector(zero_point->constant.dims, rank, rank - 1, view.rows); !ok)
      return decline("the zero point of its weights of " + ok.why());
    view.zero_points = zero_point->constant.data;
    view.zero_point_stride = element_count(zero_point->constant.dims) == 1 ? 0 : 1;
  }
  return read_range(weight->name, &view);
}

Check check_not_dequantized(const RecogniseContext& context, int weights) {
  const Node* producer = producer_of(context.graph, weights);
  if (producer == nullptr || producer->op != "DequantizeLinear") return {};
  const Value* stored = context.input(*producer, 0);
  if (stored == nullptr || !stored->is_constant) return {};
  return decline("its weights '" + stored->name +
                 "' are dequantized in every run: quantize its input, too (QDQ), or store them as float32");
}

Check read_int_bias(const Value& bias, int rank, int axis, int64_t rows, std::vector<int32_t>* result) {
  if (!bias.is_constant) return decline("its bias '" + bias.name + "' is not constant");
  if (bias.constant.type != ElementType::kInt32) return decline("its bias '" + bias.name + "' is not int32");
  const auto ints = constant_ints(bias);
  if (!ints) return decline("its bias cannot be used: " + ints.why());
  if (Check ok = check_vector(bias.constant.dims, rank, axis, rows); !ok) return decline("its bias of " + ok.why());
  result->assign(ints->begin(), ints->end());
  result->resize(rows, result->front());
  return {};
}

std::vector<float> multipliers(float x_scale, const std::vector<float>& w_scale, const float* y_scale, int64_t rows) {
  std::vector<float> result;
  for (int64_t r = 0; r < rows; ++r) {
    const float product = x_scale * w_scale[w_scale.size() == 1 ? 0 : r];
    result.push_back(y_scale != nullptr ? product / *y_scale : product);
  }
  return result;
}

Check set_token_geometry(const RecogniseContext& context, const Node& product, int x, QuantizedLinear* linear) {
  const bool gemm = product.op == "Gemm" || product.op == "com.microsoft.QGemm";
  const bool transposed_input = gemm && product.attribute("transA", int64_t{0}) != 0;
  const int rank = context.rank(x);
  if (rank < 0) return decline("the rank of its input is unknown");
  if (rank < 2 || (transposed_input && rank != 2)) {
    return decline("its input has rank " + std::to_string(rank) + "; at least 2 is expected");
  }
  linear->axes = Axes::kTokens;
  linear->in_channels = linear->weight.channels;
  linear->out_channels = linear->weight.rows;
  linear->transposed_input = transposed_input;
  linear->of_vector = gemm ? OfVector::kMatrix : OfVector::kVector;
  const int64_t channels = context.static_dim(x, transposed_input ? 0 : rank - 1);
  if (channels < 0 || channels == linear->in_channels) return {};
  return decline("its input has " + std::to_string(channels) + " channels, its weights expect " +
                 std::to_string(linear->in_channels));
}

Meaning recognise_quantize(const RecogniseContext& context, const Node& node) {
  const int x = node.inputs[0], y = node.outputs[0];
  if (node.attribute("block_size", int64_t{0}) != 0) return decline("blocks of a scale each are not supported");
  if (const int64_t type = node.attribute("precision", int64_t{0}); type != 0 && type != 1)
    return decline("only a precision of float32 is supported");
  Quantization quantization;
  if (Check ok = read_quantization(context, node, 1, &quantization); !ok) {
    return ok.reason();
  }
  const bool to_bytes = node.op == "QuantizeLinear";
  const ElementType from = context.value(x).type, to = context.value(y).type;
  const ElementType bytes = quantization.is_signed ? ElementType::kInt8 : ElementType::kUint8;
  if (from != (to_bytes ? ElementType::kFloat : bytes) || to != (to_bytes ? bytes : ElementType::kFloat)) {
    return decline("it converts " + std::string(element_type_name(from)) + " to " + std::string(element_type_name(to)) +
                   "; float32, uint8 and int8 are supported");
  }
  if (to_bytes) return accept(Quantize{quantization}, {x}, y);
  return accept(Dequantize{quantization}, {x}, y);
}

}  // namespace sparsecpu
