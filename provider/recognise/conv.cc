#include "recognise/conv.h"

#include "facts/constants.h"
#include "recognise/quantized.h"
#include "recognise/recognisers.h"
#include "recognise/window.h"

namespace sparsecpu {
namespace {

Check check_weights(const RecogniseContext& context, int index) {
  const Value& weight = context.value(index);
  if (!weight.is_constant) {
    if (Check ok = check_not_dequantized(context, index); !ok) return ok;
    return decline("its weights '" + weight.name + "' are not constant");
  }
  const Check ok = check_constant(weight, ElementType::kFloat);
  if (!ok) return decline("its weights cannot be used: " + ok.why());
  if (reinterpret_cast<uintptr_t>(weight.constant.data) % alignof(float) != 0) {
    return decline("its weights '" + weight.name + "' are not aligned to 4 bytes");
  }
  return {};
}

}  // namespace

Check read_conv_geometry(const RecogniseContext& context, const Node& node, int x, const std::vector<int64_t>& dims,
                         ConvGeometry* geometry) {
  if (dims.size() == 5) return decline("3-D convolutions are not supported");
  if (dims.size() != 3 && dims.size() != 4)
    return decline("its weights have shape " + dims_text(dims) + "; rank 3 or 4 is expected");
  if (element_count(dims) == 0) return decline("its weights are empty, shape " + dims_text(dims));
  geometry->groups = node.attribute("group", int64_t{1});
  if (geometry->groups < 1 || dims[0] % geometry->groups != 0) {
    return decline(std::to_string(geometry->groups) + " groups do not divide " + std::to_string(dims[0]) +
                   " output channels");
  }
  const std::vector<int64_t> kernel(dims.begin() + 2, dims.end());
  if (Check ok = read_window(node, kernel, &geometry->window); !ok) return ok;
  if (node.attribute("kernel_shape", kernel) != kernel) {
    return decline("kernel_shape does not fit the weights of shape " + dims_text(dims));
  }
  geometry->window.ceil_mode = false;
  geometry->window.must_fit = true;
  geometry->out_channels = dims[0];
  if (__builtin_mul_overflow(dims[1], geometry->groups, &geometry->in_channels))
    return decline("its channel count overflows");
  const int rank = context.rank(x);
  if (rank >= 0 && rank != static_cast<int>(dims.size())) {
    return decline("its input has rank " + std::to_string(rank) + ", its weights have rank " +
                   std::to_string(dims.size()));
  }
  const int64_t channels = context.static_dim(x, 1);
  if (channels >= 0 && channels != geometry->in_channels) {
    return decline("its input has " + std::to_string(channels) + " channels, its weights expect " +
                   std::to_string(geometry->in_channels));
  }
  return {};
}

Meaning recognise_conv(const RecogniseContext& context, const Node& node) {
  const Value* weight = context.input(node, 1);
  if (weight == nullptr) return decline("it has no weights");
  if (Check ok = check_weights(context, node.inputs[1]); !ok) return ok.reason();
  const std::vector<int64_t>& dims = weight->constant.dims;
  const int x = node.inputs[0];
  ConvGeometry geometry;
  if (Check ok = read_conv_geometry(context, node, x, dims, &geometry); !ok) {
    return ok.reason();
  }
  Linear linear;
  set_conv_geometry(geometry, &linear);
  const int64_t taps = linear.window.kernel[0] * linear.window.kernel[1];
  linear.weight = {
      static_cast<const float*>(weight->constant.data), dims[0], dims[1], taps, dims[1] * taps, taps, 1, 1.0f};

  if (const Value* bias = context.input(node, 2)) {
    const auto floats = constant_floats(*bias);
    if (!floats) return decline("its bias cannot be used: " + floats.why());
    if (bias->constant.dims != std::vector<int64_t>{linear.out_channels}) {
      return decline("its bias has shape " + dims_text(bias->constant.dims) + "; [" + std::to_string(dims[0]) +
                     "] is expected");
    }
    linear.bias = *floats;
  }
  return accept(std::move(linear), {x}, node.outputs[0]);
}

}  // namespace sparsecpu
