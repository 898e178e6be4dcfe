// Nodes -> Ops. One function per operator family; a table in recognise.cc says which operator, domain and
// opset goes to which function.
#pragma once
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "facts/facts.h"
#include "graph/graph.h"
#include "ops/op.h"

namespace sparsecpu {

struct Recognised {
  std::string pattern;  // "" if the operator is not in the table
  std::string reason;   // why not; "" when recognised
  std::vector<Op> ops;  // inputs, output: value indices of the Graph; ~k is the k-th value inside the node
  int unit = -1;        // index into RecognisedGraph::units; the ops are with the unit's place
  bool ok() const { return !ops.empty(); }
};

// Nodes that stand for one operator and are taken whole or not at all. Either nodes that only the last of them leaves
// (DequantizeLinears, operator, activation, QuantizeLinear; the patterns of patterns.h), or a DynamicQuantizeLinear
// with all that it feeds, which only its first node enters: so contracting units leaves a graph acyclic.
struct Unit {
  std::vector<int> nodes;  // ascending
  int main = -1;           // the operator itself
  int place = -1;          // its last node; of a DynamicQuantizeLinear: its first. Stands for the unit in node order
};

struct RecogniseContext {
  const Graph& graph;
  const Table<ValueFacts>& facts;  // one per value

  const Value& value(int index) const { return graph.values[index]; }
  bool has_input(const Node& node, size_t i) const { return node.inputs[i] >= 0; }
  const Value* input(const Node& node, size_t i) const { return has_input(node, i) ? &value(node.inputs[i]) : nullptr; }
  // Rank of a value, or -1.
  int rank(int index) const;
  // Size of one axis if it is believed to be the same in every run, else -1.
  int64_t static_dim(int index, int axis) const;
  // The same if it is known, whatever is declared.
  int64_t proven_dim(int index, int axis) const;
  // Of every axis; empty where the rank is unknown.
  Shape proven_dims(int index) const;
  // The set `proof` of a value's sizes (facts.h), or null.
  const Shape* proof(int index) const { return facts[index].proof ? &*facts[index].proof : nullptr; }
  // The only number of a value, constant or computed, if it is the same in every run.
  std::optional<float> static_number(int index) const;
};

Recognised recognise_conv(const RecogniseContext&, const Node&);
Recognised recognise_matmul(const RecogniseContext&, const Node&);
Recognised recognise_gemm(const RecogniseContext&, const Node&);
Recognised recognise_fused_layer(const RecogniseContext&, const Node&);  // FusedConv, FusedGemm
Recognised recognise_activation(const RecogniseContext&, const Node&);
Recognised recognise_arithmetic(const RecogniseContext&, const Node&);
Recognised recognise_batch_norm(const RecogniseContext&, const Node&);
Recognised recognise_layer_norm(const RecogniseContext&, const Node&);  // and with the residual Add before it
Recognised recognise_biased_gelu(const RecogniseContext&, const Node&);
Recognised recognise_attention(const RecogniseContext&, const Node&);  // heads joined: operators that split them
Recognised recognise_select_token(const RecogniseContext&, const Node&);
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
// Node and name of Ops that have none yet: `main`.
void name_ops(const Graph& graph, int main, Recognised* recognised);
Recognised decline(std::string reason);
Recognised accept(OpData data, std::vector<int> inputs, int output);
// Of a layer of floats: why its weights are no constant if a DequantizeLinear makes them of one, else "".
std::string dequantized_weights(const RecogniseContext&, int weights);
// Axes under which a constant next to an activation x is one number, or one a channel. Returns a reason, or "".
std::string constant_axes(const RecogniseContext&, int x, const Value& constant, Axes* axes);
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

// Keys, queries, heads, batch of attention scores: the axis of a value that has this size; value -1: the number `axis`,
// or nothing if that is negative.
struct ScoreAxis {
  int value = -1;
  int axis = -1;
};
using ScoreAxes = std::array<ScoreAxis, 4>;
// The largest score at which onnxruntime's Attention of opset 23 counts a key as masked.
constexpr float kUnattended = std::numeric_limits<float>::lowest();

struct Mask {
  int value = -1;
  MaskKind kind = MaskKind::kNone;
};
// Whether a mask of floats or bools (drops: true masks) broadcasts to such scores, as a reason or "". A constant one
// that masks nothing is no mask afterwards.
std::string fit_mask(const RecogniseContext&, const ScoreAxes& scores, bool drops, Mask* mask);

struct RecognisedGraph {
  Table<Recognised> nodes;  // one per node of the graph
  Table<ValueFacts> facts;  // one per value
  std::vector<Unit> units;
  SymbolSizes assumed;
};
// given: as AssumedShapes takes them.
RecognisedGraph recognise_graph(const Graph& graph, const SymbolSizes& given);

}  // namespace sparsecpu
