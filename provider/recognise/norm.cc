// Normalization of images: with constant statistics, which make it a scale and a shift, or with their own.
#include <cmath>

#include "facts/constants.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

Meaning recognise_batch_norm(const RecogniseContext& context, const Node& node) {
  if (node.attribute("training_mode", int64_t{0}) != 0) return decline("it is in training mode");
  if (node.attribute("spatial", int64_t{1}) != 1) return decline("only spatial = 1 is supported");
  for (size_t i = 1; i < node.outputs.size(); ++i) {
    if (node.outputs[i] >= 0) return decline("it has training outputs");
  }
  std::vector<float> vectors[4];  // scale, shift, mean, variance
  for (size_t i = 0; i < 4; ++i) {
    const Value* value = context.input(node, i + 1);
    if (value == nullptr) return decline("a statistic is missing");
    const auto floats = constant_floats(*value);
    if (!floats) return decline("its statistics cannot be used: " + floats.why());
    if (value->constant.dims.size() != 1 || floats->empty() || (i > 0 && floats->size() != vectors[0].size())) {
      return decline("its statistics have different shapes");
    }
    vectors[i] = *floats;
  }
  const int x = node.inputs[0];
  const int rank = context.rank(x);
  if (rank < 2 || rank > 4) return decline("its input has to have rank 2 to 4");
  const int64_t channels = context.static_dim(x, 1);
  if (channels >= 0 && channels != static_cast<int64_t>(vectors[0].size())) {
    return decline("its input has " + std::to_string(channels) + " channels, its statistics have " +
                   std::to_string(vectors[0].size()));
  }
  const double epsilon = node.attribute("epsilon", 1e-5f);
  Affine affine;
  for (size_t c = 0; c < vectors[0].size(); ++c) {
    const double scale = vectors[0][c] / std::sqrt(static_cast<double>(vectors[3][c]) + epsilon);
    affine.scale.push_back(static_cast<float>(scale));
    affine.shift.push_back(static_cast<float>(vectors[1][c] - vectors[2][c] * scale));
  }
  return accept(std::move(affine), {x}, node.outputs[0]);
}

// GroupNormalization: onnxruntime writes it out. Its constants have a value a group before opset 21, one a channel
// since. InstanceNormalization: every channel is a group.
Meaning recognise_group_norm(const RecogniseContext& context, const Node& node) {
  const int x = node.inputs[0], rank = context.rank(x);
  if (rank != 3 && rank != 4) return decline("its input has to have rank 3 or 4");
  const bool grouped = node.op == "GroupNormalization", by_group = grouped && node.since_version < 21;
  int64_t channels = context.static_dim(x, 1);
  // With other channels than its constants have onnxruntime fails, but one number fits any.
  if (by_group || channels == 1) channels = context.proven_dim(x, 1);
  if (channels < 1) return decline("its channel count is unknown");
  GroupNorm norm{channels, node.attribute("epsilon", 1e-5f), {}, {}, {4, 1}};
  if (grouped) {
    norm.groups = node.attribute("num_groups", int64_t{0});
    norm.cpu = {12, 25};
    if (norm.groups < 1 || channels % norm.groups != 0) {
      return decline("its " + std::to_string(channels) + " channels do not divide into " + std::to_string(norm.groups) +
                     " groups");
    }
    if (const int64_t type = node.attribute("stash_type", int64_t{1}); type != 1)
      return decline("its statistics are of type " + std::to_string(type) + "; only 1, float32, is supported");
  }
  const int64_t values = by_group ? norm.groups : channels;
  Check ok = read_vector(context.input(node, 1), "scale", values, &norm.scale);
  if (ok) ok = read_vector(context.input(node, 2), "shift", values, &norm.shift);
  if (!ok) return ok.reason();
  norm.repeat_vectors(channels);
  return accept(std::move(norm), {x}, node.outputs[0]);
}

}  // namespace

Meaning recognise_norm(const RecogniseContext& context, const Node& node) {
  return node.op == "BatchNormalization" ? recognise_batch_norm(context, node) : recognise_group_norm(context, node);
}

}  // namespace sparsecpu
