// Nodes -> Ops. One function per operator family; a table in recognise.cc says which operator, domain and
// opset goes to which function.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "claim/claim.h"
#include "claim/op.h"
#include "graph/graph.h"

namespace sparsecpu {

// What is believed about a value before anything runs. Two sets of concrete sizes: `assumed` for the
// prediction, `probe` with a different size for every symbol and every unknown dimension. Dimensions that
// agree in both sets are taken to be equal for all sizes.
struct ValueFacts {
  std::optional<Shape> assumed, probe;
  std::optional<Axes> axes;  // of the op that made it; unset: unknown, or rank <= 2, where both mean the same
};

struct Recognised {
  std::string pattern;  // "" if the operator is not in the table
  std::string reason;   // why not; "" when recognised
  std::vector<Op> ops;  // inputs, output: value indices of the Graph; ~k is the k-th value inside the node
  int unit = -1;        // index into RecognisedGraph::units; the ops are with the unit's place
  bool ok() const { return !ops.empty(); }
};

// Nodes that stand for one quantized operator and are taken whole or not at all. Either a tree that only its
// last node leaves (DequantizeLinears, operator, activation, QuantizeLinear), or a DynamicQuantizeLinear with
// all that it feeds, which only its first node enters: so contracting units leaves a graph acyclic.
struct Unit {
  std::vector<int> nodes;  // ascending
  int main = -1;           // the operator itself
  int place = -1;          // its last node; of a DynamicQuantizeLinear: its first. Stands for the unit in node order
};

struct RecogniseContext {
  const Graph& graph;
  const std::vector<ValueFacts>& facts;  // one per value
  // In Compile the graph is a region that was claimed before: dimensions that only the whole model
  // could prove to be equal are taken to be equal.
  bool trust_unknown_dims = false;

  const Value& value(int index) const { return graph.values[index]; }
  bool has_input(const Node& node, size_t i) const { return i < node.inputs.size() && node.inputs[i] >= 0; }
  const Value* input(const Node& node, size_t i) const { return has_input(node, i) ? &value(node.inputs[i]) : nullptr; }
  // Rank of a value, or -1.
  int rank(int index) const;
  // Size of one axis if it is the same in every run, else -1.
  int64_t static_dim(int index, int axis) const;
};

Recognised recognise_conv(const RecogniseContext&, const Node&);
Recognised recognise_matmul(const RecogniseContext&, const Node&);
Recognised recognise_gemm(const RecogniseContext&, const Node&);
Recognised recognise_activation(const RecogniseContext&, const Node&);
Recognised recognise_arithmetic(const RecogniseContext&, const Node&);
Recognised recognise_batch_norm(const RecogniseContext&, const Node&);
Recognised recognise_pool(const RecogniseContext&, const Node&);
Recognised recognise_global_average(const RecogniseContext&, const Node&);
Recognised recognise_pad(const RecogniseContext&, const Node&);
Recognised recognise_resize(const RecogniseContext&, const Node&);
Recognised recognise_concat(const RecogniseContext&, const Node&);
Recognised recognise_split(const RecogniseContext&, const Node&);
Recognised recognise_slice(const RecogniseContext&, const Node&);
Recognised recognise_reshape(const RecogniseContext&, const Node&);
Recognised recognise_quantize(const RecogniseContext&, const Node&);
Recognised recognise_qlinear(const RecogniseContext&, const Node&);  // QLinear*, QGemm

// Shared by the recognisers.
Recognised decline(std::string reason);
Recognised accept(OpData data, std::vector<int> inputs, int output);
// Attributes kernel_shape, strides, dilations, pads, auto_pad, ceil_mode of a window over 1 or 2 spatial axes;
// `kernel` is used where the attribute is absent. Returns a reason, or "".
std::string read_window(const Node& node, std::vector<int64_t> kernel, Window* window);
// Geometry of a Conv with weights of these dimensions, all but the weights. Linear or QuantizedLinear.
struct ConvGeometry {
  int64_t in_channels = 0, out_channels = 0, groups = 1;
  Window window;
};
std::string read_conv_geometry(const RecogniseContext&, const Node& node, int x,
                               const std::vector<int64_t>& weight_dims, ConvGeometry* geometry);
// Equal in every run, as far as is known.
bool same_dim(const RecogniseContext&, int a, int axis_a, int b, int axis_b);
bool same_shape(const RecogniseContext&, int a, int b);

// The axes that an op gives to its input and output; unset: any, or as they come.
std::optional<Axes> own_axes(const OpData& data);

struct RecognisedGraph {
  std::vector<Recognised> nodes;  // one per node of the graph
  std::vector<ValueFacts> facts;  // one per value
  std::vector<Unit> units;
  std::map<std::string, int64_t> assumed;
};
RecognisedGraph recognise_graph(const Graph& graph, const ClaimOptions& options, bool trust_unknown_dims);

}  // namespace sparsecpu
