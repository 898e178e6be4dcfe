// Conv with constant weights.
#include "claim/constants.h"
#include "claim/recognise.h"

namespace sparsecpu {
namespace {

// Why the weights of a Conv cannot be used; "" if they can.
std::string weight_problem(const Value& weight, int64_t groups) {
  if (!weight.is_constant) return "its weights '" + weight.name + "' are not constant";
  const std::string problem = constant_problem(weight, ElementType::kFloat);
  if (!problem.empty()) return "its weights cannot be used: " + problem;
  const std::vector<int64_t>& dims = weight.constant.dims;
  if (dims.size() == 5) return "3-D convolutions are not supported";
  if (dims.size() != 3 && dims.size() != 4)
    return "its weights have shape " + dims_text(dims) + "; rank 3 or 4 is expected";
  if (element_count(dims) == 0) return "its weights are empty, shape " + dims_text(dims);
  if (groups < 1 || dims[0] % groups != 0) {
    return std::to_string(groups) + " groups do not divide " + std::to_string(dims[0]) + " output channels";
  }
  if (reinterpret_cast<uintptr_t>(weight.constant.data) % alignof(float) != 0) {
    return "its weights '" + weight.name + "' are not aligned to 4 bytes";
  }
  return "";
}

}  // namespace

Recognised recognise_conv(const RecogniseContext& context, const Node& node) {
  const Value* weight = context.input(node, 1);
  if (weight == nullptr) return decline("it has no weights");
  Linear linear;
  linear.groups = node.attribute("group", int64_t{1});
  if (std::string problem = weight_problem(*weight, linear.groups); !problem.empty()) return decline(problem);

  const std::vector<int64_t>& dims = weight->constant.dims;
  const std::vector<int64_t> kernel(dims.begin() + 2, dims.end());
  if (std::string problem = read_window(node, kernel, &linear.window); !problem.empty()) return decline(problem);
  if (node.attribute("kernel_shape", kernel) != kernel) {
    return decline("kernel_shape does not fit the weights of shape " + dims_text(dims));
  }
  linear.window.ceil_mode = false;
  linear.out_channels = dims[0];
  if (__builtin_mul_overflow(dims[1], linear.groups, &linear.in_channels))
    return decline("its channel count overflows");
  const int x = node.inputs[0];
  const int rank = context.rank(x);
  if (rank >= 0 && rank != static_cast<int>(dims.size())) {
    return decline("its input has rank " + std::to_string(rank) + ", its weights have rank " +
                   std::to_string(dims.size()));
  }
  const int64_t channels = context.static_dim(x, 1);
  if (channels >= 0 && channels != linear.in_channels) {
    return decline("its input has " + std::to_string(channels) + " channels, its weights expect " +
                   std::to_string(linear.in_channels));
  }
  const int64_t taps = linear.window.kernel[0] * linear.window.kernel[1];
  linear.weight = {
      static_cast<const float*>(weight->constant.data), dims[0], dims[1], taps, dims[1] * taps, taps, 1, 1.0f};

  if (const Value* bias = context.input(node, 2)) {
    const auto floats = constant_floats(*bias);
    if (!floats) return decline("its bias cannot be used: " + constant_problem(*bias, ElementType::kFloat));
    if (static_cast<int64_t>(floats->size()) != linear.out_channels) {
      return decline("its bias has shape " + dims_text(bias->constant.dims) + "; [" + std::to_string(dims[0]) +
                     "] is expected");
    }
    linear.bias = *floats;
  }
  return accept(std::move(linear), {x}, node.outputs[0]);
}

}  // namespace sparsecpu
