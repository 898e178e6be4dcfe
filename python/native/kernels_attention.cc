// Bindings of the kernels of transformer blocks, for tests and benchmarks. Sizes are not checked.
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/memory.h"
#include "bindings.h"
#include "kernels/quantized.h"
#include "kernels_elementwise.h"

namespace py = pybind11;
using namespace sparsecpu;

namespace {

using Vectors = std::vector<FloatArray>;

void layer_norm(const std::string& isa, const FloatArray& scale, const FloatArray& shift, float epsilon, bool centred,
                const FloatArray& x, FloatArray y) {
  const TokenNorm norm{scale.data(), shift.data(), epsilon, centred};
  table_of(isa).layer_norm(norm, x.data(), y.mutable_data(), scale.size());
}

void layer_norm_row(const std::string& isa, const FloatArray& scale, const FloatArray& shift, float epsilon,
                    bool centred, const FloatArray& x, FloatArray y) {
  const TokenNorm norm{scale.data(), shift.data(), epsilon, centred};
  table_of(isa).layer_norm_row(norm, x.data(), y.mutable_data(), scale.size());
}

AttentionQueries queries_of(const Vectors& q, Vectors& y, const std::vector<uint16_t>& lanes) {
  AttentionQueries queries;
  queries.vectors = static_cast<int>(q.size());
  for (size_t i = 0; i < q.size(); ++i) {
    queries.q[i] = q[i].data();
    queries.y[i] = y.at(i).mutable_data();
    queries.lanes[i] = lanes.at(i);
  }
  return queries;
}

// k, v: (vectors of 16 keys, depth, 16); q, y: one (depth, 16) array a query vector; scores: (slots, query vectors,
// 16).
double attention(const std::string& isa, const FloatArray& k, const FloatArray& v, int first_lane, int64_t keys,
                 float scale, const std::optional<FloatArray>& key_mask, bool masked_scores, bool mask_replaces,
                 std::optional<float> unattended, const Vectors& q, Vectors y, const std::vector<uint16_t>& lanes,
                 FloatArray scores, int repeats) {
  AttentionKeys a;
  a.keys = keys;
  a.depth = k.shape(1);
  a.value_depth = v.shape(1);
  a.first_lane = first_lane;
  a.k = k.data();
  a.v = v.data();
  a.k_stride = a.depth * kLanes;
  a.v_stride = a.value_depth * kLanes;
  a.scale = scale;
  a.key_mask = key_mask ? key_mask->data() : nullptr;
  a.masked_scores = masked_scores;
  a.mask_replaces = mask_replaces;
  a.zero_unattended = unattended.has_value();
  if (unattended) a.unattended = *unattended;
  const AttentionQueries queries = queries_of(q, y, lanes);
  return fastest(repeats, [&] { table_of(isa).attention(a, queries, scores.mutable_data()); });
}

// Tables of 256 floats (score_table, weight_table may be None), steps, zero; of a mask: score_ratio, mask_ratio, shift,
// sign, score_leads.
using GivenSum = std::tuple<float, float, float, float, bool>;
using GivenSoftmax =
    std::tuple<FloatArray, std::optional<FloatArray>, std::optional<FloatArray>, float, int, std::optional<GivenSum>>;

SoftmaxOfBytes softmax_of(const GivenSoftmax& given) {
  const auto& [powers, score_table, weight_table, steps, zero, sum] = given;
  SoftmaxOfBytes softmax{powers.data(), score_table ? score_table->data() : nullptr,
                         weight_table ? weight_table->data() : nullptr, steps, zero};
  if (sum) std::tie(softmax.score_ratio, softmax.mask_ratio, softmax.shift, softmax.sign, softmax.score_leads) = *sum;
  return softmax;
}

// Byte lanes as floats: k, v: (vectors of 16 keys, depth / 4, 16); q, y: one array a query vector. mask: (slots, query
// vectors, 16) to be added to the scores or, below 0, to replace them.
double attend_bytes(const std::string& isa, const FloatArray& k, const FloatArray& v, int first_lane, int64_t keys,
                    float scale, const std::optional<FloatArray>& mask, bool mask_replaces, AttentionBytes bytes,
                    const Vectors& q, Vectors y, const std::vector<uint16_t>& lanes,
                    const std::optional<GivenSoftmax>& softmax, int repeats) {
  if (softmax) bytes.softmax = softmax_of(*softmax);
  AttentionKeys a;
  a.keys = keys;
  a.depth = 4 * k.shape(1);
  a.value_depth = 4 * v.shape(1);
  a.first_lane = first_lane;
  a.k = k.data();
  a.v = v.data();
  a.k_stride = k.shape(1) * kLanes;
  a.v_stride = v.shape(1) * kLanes;
  a.scale = scale;
  a.masked_scores = mask.has_value();
  a.mask_replaces = mask_replaces;
  const int tile = static_cast<int>(q.size());
  const int64_t floats = AttentionScratch::floats(a.slots(), a.depth, a.value_depth, tile);
  const AlignedBuffer memory(static_cast<size_t>(floats) * sizeof(float));
  const AttentionScratch scratch(memory.as<float>(), a.slots(), a.depth, a.value_depth, tile);
  const AttentionQueries queries = queries_of(q, y, lanes);
  const QuantizedKernels& kernels = *table_of(isa).quantized;
  kernels.prepare_attention(a, bytes, scratch);
  return fastest(repeats, [&] {
    if (mask) std::copy_n(mask->data(), mask->size(), scratch.scores);
    kernels.attend(a, bytes, queries, scratch);
  });
}

// x: (vectors, 16) bytes as floats; y: floats or bytes; activation: (kind, a, b).
void float_stretch(const std::string& isa, std::tuple<float, int> x_numbers, const FloatArray& x,
                   const std::optional<FloatArray>& scale, const std::optional<FloatArray>& shift,
                   const std::optional<FloatArray>& residual,
                   std::optional<std::tuple<UnaryKind, float, float>> activation,
                   std::optional<std::tuple<float, int>> y_numbers, FloatArray y, int64_t begin, int64_t end) {
  FloatStretch s;
  s.x = {std::get<0>(x_numbers), std::get<1>(x_numbers)};
  if (scale) s.scale = scale->data(), s.shift = shift.value().data();
  s.activates = activation.has_value();
  if (activation) std::tie(s.kind, s.a, s.b) = *activation;
  s.quantizes = y_numbers.has_value();
  if (y_numbers) s.y = {std::get<0>(*y_numbers), std::get<1>(*y_numbers)};
  const float* addend = residual ? residual->data() : nullptr;
  table_of(isa).quantized->float_stretch(s, x.data(), addend, y.mutable_data(), begin, end);
}

void bind_attention_bytes(py::module_& module) {
  module.def("float_stretch", &float_stretch,
             "isa, (x scale, zero), x, scale, shift, residual, activation, (y scale, zero), y, begin, end");
  py::class_<AttentionBytes>(module, "AttentionBytes")
      .def(py::init())
      .def_readwrite("q_zero", &AttentionBytes::q_zero)
      .def_readwrite("k_zero", &AttentionBytes::k_zero)
      .def_readwrite("v_zero", &AttentionBytes::v_zero)
      .def_readwrite("weight_zero", &AttentionBytes::weight_zero)
      .def_readwrite("y_zero", &AttentionBytes::y_zero)
      .def_readwrite("score_multiplier", &AttentionBytes::score_multiplier)
      .def_readwrite("score_bytes", &AttentionBytes::score_bytes)
      .def_readwrite("score_zero", &AttentionBytes::score_zero)
      .def_readwrite("score_scale", &AttentionBytes::score_scale)
      .def_readwrite("weight_scale", &AttentionBytes::weight_scale)
      .def_readwrite("y_multiplier", &AttentionBytes::y_multiplier)
      .def_readwrite("float_output", &AttentionBytes::float_output);
  module.def("byte_attention_tile", [](const std::string& isa) { return table_of(isa).quantized->attention_tile; });
  module.def("attend_bytes", &attend_bytes, py::arg("isa"), py::arg("k"), py::arg("v"), py::arg("first_lane"),
             py::arg("keys"), py::arg("scale"), py::arg("mask"), py::arg("mask_replaces"), py::arg("bytes"),
             py::arg("q"), py::arg("y"), py::arg("lanes"), py::arg("softmax") = py::none(), py::arg("repeats") = 1,
             "One head; softmax: as GivenSoftmax. Seconds of the fastest repeat.");
}

}  // namespace

void bind_attention_kernels(py::module_& module) {
  bind_attention_bytes(module);
  module.def("layer_norm", &layer_norm, "isa, scale, shift, epsilon, centred, x (channels, 16), y");
  module.def("layer_norm_row", &layer_norm_row, "isa, scale, shift, epsilon, centred, x, y");
  module.def("attention_tile", [](const std::string& isa) { return table_of(isa).attention_tile; });
  module.def("attention", &attention, py::arg("isa"), py::arg("k"), py::arg("v"), py::arg("first_lane"),
             py::arg("keys"), py::arg("scale"), py::arg("key_mask"), py::arg("masked_scores"), py::arg("mask_replaces"),
             py::arg("unattended"), py::arg("q"), py::arg("y"), py::arg("lanes"), py::arg("scores"),
             py::arg("repeats") = 1, "One head; seconds of the fastest repeat.");
}
