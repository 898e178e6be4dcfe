#include "recognise/bytes.h"

#include "facts/constants.h"
#include "recognise/elementwise.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

int32_t byte_value(uint8_t byte, bool is_signed) { return is_signed ? static_cast<int8_t>(byte) : byte; }

Check read_channel_bytes(const RecogniseContext& context, int x, const Value& constant, ChannelBytes* bytes) {
  if (Check ok = check_constant(constant, context.value(x).type); !ok) {
    return decline("its constant cannot be used: " + ok.why());
  }
  const auto* data = static_cast<const uint8_t*>(constant.constant.data);
  bytes->values.assign(data, data + element_count(constant.constant.dims));
  bytes->dims = constant.constant.dims;
  return read_axes(context, x, constant, &bytes->axes);
}

}  // namespace

Meaning recognise_quantized_binary(const RecogniseContext& context, const Node& node, const Quantization& a,
                                   const Quantization& b, const Quantization& y, int32_t clamp_low,
                                   int32_t clamp_high) {
  const Value* left = context.input(node, 0);
  const Value* right = context.input(node, 1);
  if (left == nullptr || right == nullptr) return decline("an input is missing");
  const bool add = node.op == "Add";
  QuantizedAdd sum{a, b, y, clamp_low, clamp_high, {}};
  QuantizedMul product{a, b, y, {}};
  if (!left->is_constant && !right->is_constant) {
    Meaning result = recognise_arithmetic(context, node);
    if (result) result->front().data = add ? OpData(std::move(sum)) : OpData(std::move(product));
    return result;
  }
  const bool first = left->is_constant;
  const Value& constant = first ? *left : *right;
  const int x = node.inputs[first ? 1 : 0];
  ChannelBytes bytes;
  bytes.first = first;
  if (Check ok = read_channel_bytes(context, x, constant, &bytes); !ok) return ok.reason();
  const Shape shape = context.proven_dims(x);
  const std::optional<bool> exchange =
      first ? exchanges_operands(bytes.dims, shape) : exchanges_operands(shape, bytes.dims);
  if (bytes.values.size() == 1 && (exchange || !add)) {
    const int32_t number = byte_value(bytes.values[0], constant.constant.type == ElementType::kInt8);
    const Lookup table = add ? add_table(sum, number, first, *exchange) : mul_table(product, number, first);
    return accept(table, {x}, node.outputs[0]);
  }
  sum.constant = product.constant = std::move(bytes);
  return accept(add ? OpData(std::move(sum)) : OpData(std::move(product)), {x}, node.outputs[0]);
}

Meaning recognise_quantized_average(const RecogniseContext& context, const Node& node, const Quantization& x,
                                    const Quantization& y) {
  const bool global = node.op == "GlobalAveragePool";
  Meaning result = global ? recognise_global_average(context, node) : recognise_pool(context, node);
  if (!result) return result;
  if (global) {
    std::get<GlobalAverage>(result->front().data).bytes = AverageQuantization{x, y};
    return result;
  }
  Pool& pool = std::get<Pool>(result->front().data);
  pool.bytes = AverageQuantization{x, y};
  if (pool.divisor != PoolDivisor::kPixels) pool.divisor = PoolDivisor::kTaps;  // as onnxruntime counts on bytes
  return result;
}

Meaning recognise_quantized_concat(const RecogniseContext& context, const Node& node,
                                   const std::vector<Quantization>& x, const Quantization& y) {
  Meaning joined = recognise_concat(context, node);
  if (!joined) return joined;
  Ops result;
  Op concat = joined->front();
  int inside = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (same_quantization(x[i], y)) continue;
    const int scaled = ~inside++;
    result.push_back({function_table(x[i], y, [](float v) { return v; }), {concat.inputs[i]}, scaled, -1, ""});
    concat.inputs[i] = scaled;
  }
  result.push_back(std::move(concat));
  return result;
}

}  // namespace sparsecpu
