// What a claimed node means: the vocabulary between recognise/ (which reads ONNX nodes) and lower/
// (which runs them). One Op is one mathematical step; several may stand for one node, one for several nodes.
//
// Tensors are float, or u8 / s8 bytes (OpValue::type). Linear, Unary, Binary, Affine, PRelu work on floats; the ops
// named Quantized* and Lookup on bytes; Pool (maximum), Pad, Resize, Concat, Split and Reshape on either: they
// move or compare values, and the values they join have equal scales and zero points.
#pragma once
#include <string>
#include <variant>
#include <vector>

#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/facts.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/pool.h"
#include "ops/quantized.h"
#include "ops/resize.h"
#include "ops/shape.h"

namespace sparsecpu {

template <OpFacts... Ops>
using AnyOf = std::variant<Ops...>;

using OpData = AnyOf<Linear, Unary, Binary, Affine, PRelu, Pool, GlobalAverage, Pad, Resize, Concat, Split, Reshape,
                     LayerNorm, GroupNorm, FloatAttention, SelectToken, Quantize, Dequantize, DynamicQuantize,
                     QuantizedAttention, QuantizedLinear, QuantizedAdd, QuantizedMul, Lookup>;

struct Op {
  OpData data;
  std::vector<int> inputs;  // value indices of OpGraph
  int output = -1;
  int node = -1;     // node index in the Graph: the operator itself where there are several
  std::string name;  // that node's name, for messages and reports

  // What OpFacts says.
  const char* op_name() const;
  const char* kernel() const;
  size_t operands() const;
  ElementType result_type(ElementType input) const;
  bool scale_travels() const;
  std::optional<Axes> own_axes() const;
  bool keeps_axes() const;
  std::optional<NeededChannels> needed_channels() const;
  bool keeps_images_apart() const;
  bool fuses() const;
  bool takes_activation() const;
  Work work() const;
  std::optional<Moves> moves() const;
  std::optional<WindowUse> window_use() const;
  std::optional<LinearShape> layer() const;
};

// Row-major output shape of an op for concrete input shapes (all dims >= 0). Throws Error with the op's
// name when the shapes do not fit the op.
Shape output_shape(const Op& op, const Shapes& inputs);

// The attention that an op is, on floats or on bytes; else null.
const Attention* attention_of(const OpData& data);

struct OpValue {
  std::string name;  // "" for a value between two Ops of one node
  bool has_shape = false;
  std::vector<int64_t> dims;               // as declared by the graph; -1: unknown
  ElementType type = ElementType::kFloat;  // kFloat, kUint8 or kInt8
  std::vector<float> constant;  // a float tensor of the model's, `dims` elements; empty: computed or an input
};

// The Ops of one region (or one whole graph), topologically ordered.
struct OpGraph {
  std::vector<OpValue> values;
  std::vector<Op> ops;
  std::vector<int> inputs, outputs;
};

// What a region computes.
struct RegionOps {
  OpGraph graph;               // weight views point into the Graph; Op::node counts its nodes
  std::vector<Shape> assumed;  // of graph.inputs, for the prediction; empty if not all of them are known
};

}  // namespace sparsecpu
