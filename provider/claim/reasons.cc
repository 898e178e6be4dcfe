#include "claim/reasons.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "recognise/context.h"

namespace sparsecpu {
namespace {

std::string percent(double fraction) { return std::to_string(static_cast<int>(std::lround(100 * fraction))) + " %"; }

std::string microseconds(double us) {
  char text[32];
  std::snprintf(text, sizeof text, us < 10 ? "%.1f us" : "%.0f us", us);
  return text;
}

// A Clip whose bounds are attributes in the wrong order, or NaN, runs only as the activation of a convolution; a Resize
// with an attribute of another mode only in the layout of convolutions, which does not know it.
bool has_no_kernel(const Node& node) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (node.op == "Clip" && node.since_version < 11) {
    return !(node.attribute("min", -kInfinity) <= node.attribute("max", kInfinity));
  }
  return node.op == "Resize" && node.attribute("exclude_outside", int64_t{0}) != 0 &&
         node.attribute("mode", "nearest") != "cubic";
}

}  // namespace

Check check_graph(const Graph& graph) {
  const auto found = std::ranges::find_if(graph.nodes, has_no_kernel);
  if (found == graph.nodes.end()) return {};
  return decline("of " + found->op_type + " '" + found->name +
                 "' with these attributes onnxruntime has no kernel: it runs only together with nodes of this graph, "
                 "which stays as it is");
}

Check check_place(const Graph& graph, const Node& node) {
  if (node.assigned_elsewhere) return decline("another provider has taken it already");
  if (node.has_subgraph) return decline("it has a subgraph");
  bool used = false;
  for (int output : node.outputs) {
    used |= graph.values[output].is_graph_output || !graph.values[output].consumers.empty();
    for (int consumer : graph.values[output].consumers) {
      if (graph.nodes[consumer].has_subgraph) return decline("a subgraph uses its output");
    }
  }
  return used ? Check{} : decline("nobody uses what it makes");
}

std::string claimed_reason(const NodeCost& cost, bool forced) {
  const std::string times = "predicted " + microseconds(cost.fused_here_us) + " here, " +
                            microseconds(cost.fused_cpu_us) + " on the CPU provider";
  if (forced && cost.linear) return "claimed because of min_sparsity: " + times;
  if (!cost.linear) return "it joins the claimed layers next to it";
  if (cost.dense_wins && !cost.sparse_wins) {
    return std::string(cost.products == CpuProducts::kSigned ? "products of signed bytes" : "ConvInteger") +
           ", slow on the CPU provider: " + times;
  }
  if (cost.group_density >= 0 && skips_zeros(cost.form)) {
    return "sparse, " + percent(1 - cost.group_density) + " of the groups of 4 weights are zero: " + times;
  }
  if (skips_zeros(cost.form)) return "sparse, " + percent(cost.sparsity) + " zeros: " + times;
  return (cost.form == LayerForm::kDepthwise ? "depthwise: " : "dense: ") + times;
}

std::string linear_reason(const NodeCost& cost, std::optional<double> min_sparsity) {
  if (min_sparsity && cost.sparsity < *min_sparsity) {
    return percent(cost.sparsity) + " of the weights are zero, fewer than min_sparsity " + percent(*min_sparsity);
  }
  if (cost.form == LayerForm::kDepthwise && !cost.dense_wins) {
    return "a depthwise convolution gains nothing by itself; it joins sparse layers next to it when that saves time";
  }
  if (cost.group_density > cost.needed_density && !cost.wins()) {
    return "it would be slower here: " + percent(1 - cost.group_density) +
           " of the groups of 4 input channels have zero weights only, about " + percent(1 - cost.needed_density) +
           " are needed for " + cost.situation + " (prune further or in such groups, or set min_sparsity)";
  }
  if (!cost.wins() && cost.sparsity < cost.needed_sparsity) {
    return "it would be slower here: " + percent(cost.sparsity) + " of the weights are zero, about " +
           percent(cost.needed_sparsity) + " are needed for " + cost.situation +
           " (prune further, or set min_sparsity)";
  }
  if (cost.here_us >= cost.cpu_us) {
    return "it would be slower here: " + cost.situation + " takes " + microseconds(cost.here_us) + ", " +
           microseconds(cost.cpu_us) + " on the CPU provider (set min_sparsity to take it all the same)";
  }
  return "it would save " + microseconds(cost.cpu_us - cost.here_us) +
         " by itself, less than the conversions at its edges cost (prune the layers next to it, or set min_sparsity)";
}

std::string neighbour_reason(const Graph& graph, const std::vector<int>& group, size_t node) {
  for (int output : graph.nodes[node].outputs) {
    if (output < 0) continue;
    for (int consumer : graph.values[output].consumers) {
      if (group[consumer] >= 0) return "the claimed layers next to it gain nothing by taking it in";
    }
  }
  for (int input : graph.nodes[node].inputs) {
    const int producer = graph.producer(input);
    if (producer >= 0 && group[producer] >= 0) return "the claimed layers next to it gain nothing by taking it in";
  }
  return "no claimed layer is next to it";
}

std::string edge_reason(const GroupPrice& price) {
  return "its group would save " + microseconds(price.cpu_us - price.here_us) + " but pay " +
         microseconds(price.edges_us) + " at its edges (conversions, fusions that the CPU provider loses)";
}

std::string size_reason(const OpenSizes& sizes, const GroupPrice& price) {
  return "with a batch of " + std::to_string(sizes.batch) + ", " + std::to_string(sizes.pixels) +
         " pixels a side and " + std::to_string(sizes.tokens) + " tokens its group would take " +
         microseconds(price.here_us + price.edges_us) + ", " + microseconds(price.cpu_us) +
         " on the CPU provider (say which sizes run with the option assume)";
}

}  // namespace sparsecpu
