// Pools over windows and over the whole image.
#include <algorithm>

#include "facts/constants.h"
#include "recognise/recognisers.h"
#include "recognise/window.h"

namespace sparsecpu {

Meaning recognise_pool(const RecogniseContext& context, const Node& node) {
  for (size_t i = 1; i < node.outputs.size(); ++i) {
    if (node.outputs[i] >= 0) return decline("its second output (indices) is not supported");
  }
  Pool pool;
  pool.kind = node.op == "MaxPool" ? PoolKind::kMax : PoolKind::kAverage;
  if (Check ok = read_window(node, {}, &pool.window); !ok) return ok.reason();
  const size_t spatial = node.attribute("kernel_shape", std::vector<int64_t>{}).size();
  const int rank = context.rank(node.inputs[0]);
  if (rank >= 0 && rank != static_cast<int>(spatial) + 2) {
    return decline("its input has rank " + std::to_string(rank) + ", its window has " + std::to_string(spatial) +
                   " axes");
  }
  if (node.attribute("count_include_pad", int64_t{0}) != 0) {
    // As onnxruntime does. It matters where a window reaches past the padding.
    const bool all = node.since_version < 19 && !pool.window.ceil_mode;
    pool.divisor = all ? PoolDivisor::kTaps : PoolDivisor::kPaddedPixels;
  }
  return accept(pool, {node.inputs[0]}, node.outputs[0]);
}

Meaning recognise_global_average(const RecogniseContext& context, const Node& node) {
  const int x = node.inputs[0];
  const int rank = context.rank(x);
  if (rank != 3 && rank != 4) return decline("its input has to have rank 3 or 4");
  GlobalAverage average;
  if (node.op == "ReduceMean") {
    std::vector<int64_t> axes = node.attribute("axes", std::vector<int64_t>{});
    if (const Value* input = context.input(node, 1)) {
      const auto ints = constant_ints(*input);
      if (!ints) return decline("its axes are not constant");
      axes = *ints;
    }
    for (int64_t& axis : axes) axis += axis < 0 ? rank : 0;
    std::sort(axes.begin(), axes.end());
    const std::vector<int64_t> pixels = rank == 4 ? std::vector<int64_t>{2, 3} : std::vector<int64_t>{2};
    if (axes != pixels) return decline("it does not reduce exactly the image axes, but " + dims_text(axes));
    // [batch, tokens, channels] has rank 3 too: then the last axis is no image axis.
    if (rank == 3 && context.facts[x].axes != Axes::kImage) {
      return decline("it reduces the channels of tokens, not an image");
    }
    average.keep_dims = node.attribute("keepdims", int64_t{1}) == 1;  // as onnxruntime reads it
  }
  return accept(average, {x}, node.outputs[0]);
}

}  // namespace sparsecpu
