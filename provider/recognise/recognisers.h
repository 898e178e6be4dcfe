// All recognisers, and the table that says which is tried where.
#pragma once
#include <string_view>
#include <vector>

#include "recognise/meaning.h"

namespace sparsecpu {

// ---- Single nodes. An operator's domain and version are looked at in operators.h alone. -----------------------------

// Types of the activations that an operator takes: its own recogniser checks kAny, and of kOperands, whose first input
// may be a constant, everything.
enum class Takes { kFloat, kFloatOrBytes, kAny, kOperands };
// Which inputs of an operator between DequantizeLinear and QuantizeLinear are activations. A layer may be without a
// QuantizeLinear.
enum class Quantized { kNever, kLayer, kFirstInput, kAllInputs };

struct NodeRecogniser {
  const char* op;  // operators.h
  const char* pattern;
  Meaning (*recognise)(const RecogniseContext&, const Node&);
  Takes takes = Takes::kFloat;
  Quantized quantized = Quantized::kNever;
};
// table.cc
const NodeRecogniser* node_recogniser(std::string_view op);  // null: there is none

// Each group stands under the file that holds it. A file that is named here alone needs no header of its own.

// conv.cc
Meaning recognise_conv(const RecogniseContext&, const Node&);
// matmul.cc
Meaning recognise_matmul(const RecogniseContext&, const Node&);
Meaning recognise_gemm(const RecogniseContext&, const Node&);
// fused_layers.cc
Meaning recognise_fused_layer(const RecogniseContext&, const Node&);  // FusedConv, FusedGemm
// elementwise.cc
Meaning recognise_activation(const RecogniseContext&, const Node&);
Meaning recognise_arithmetic(const RecogniseContext&, const Node&);
Meaning recognise_several(const RecogniseContext&, const Node&);
Meaning recognise_power(const RecogniseContext&, const Node&);
Meaning recognise_biased_gelu(const RecogniseContext&, const Node&);
// norm.cc
Meaning recognise_norm(const RecogniseContext&, const Node&);
// tokens.cc
Meaning recognise_layer_norm(const RecogniseContext&, const Node&);  // and with the residual Add before it
Meaning recognise_select_token(const RecogniseContext&, const Node&);
Meaning recognise_attention(const RecogniseContext&, const Node&);  // heads joined: operators that split them
// pool.cc
Meaning recognise_pool(const RecogniseContext&, const Node&);
Meaning recognise_global_average(const RecogniseContext&, const Node&);
// shape.cc
Meaning recognise_pad(const RecogniseContext&, const Node&);
Meaning recognise_resize(const RecogniseContext&, const Node&);
Meaning recognise_concat(const RecogniseContext&, const Node&);
Meaning recognise_split(const RecogniseContext&, const Node&);
Meaning recognise_slice(const RecogniseContext&, const Node&);
Meaning recognise_reshape(const RecogniseContext&, const Node&);
// quantized.cc
Meaning recognise_quantize(const RecogniseContext&, const Node&);
// qlinear.cc
Meaning recognise_qlinear(const RecogniseContext&, const Node&);  // QLinear*, QGemm

// ---- Whatever is looked for at a node, in this order: units, the node alone, patterns. ------------------------------

// table.cc
std::vector<Matcher> matchers_at(const Node& node);
std::optional<Match> match_node(const RecogniseContext&, int node);  // by the table; what is not in it is declined
// qdq.cc
std::optional<Match> match_qdq(const RecogniseContext&, int place);
// integer.cc
std::optional<Match> match_dynamic_quantization(const RecogniseContext&, int place);
std::optional<Match> match_integer_chain(const RecogniseContext&, int place);
// patterns/attention.cc
std::optional<Match> match_attention(const RecogniseContext&, int last);
// patterns/norm.cc
std::optional<Match> match_norm(const RecogniseContext&, int last);
std::optional<Match> match_gelu(const RecogniseContext&, int last);
// patterns/reshape.cc
std::optional<Match> match_reshape(const RecogniseContext&, int last);

}  // namespace sparsecpu
