// Bindings of the kernels of transformer blocks, for tests and benchmarks. Sizes are not checked.
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "bindings.h"
#include "kernels_elementwise.h"

void bind_attention_kernels(pybind11::module_& module);

namespace py = pybind11;
using namespace sparsecpu;

namespace {

using Vectors = std::vector<FloatArray>;

void layer_norm(const std::string& isa, const FloatArray& scale, const FloatArray& shift, float epsilon,
                const FloatArray& x, FloatArray y) {
  table_of(isa).layer_norm(scale.data(), shift.data(), epsilon, x.data(), y.mutable_data(), scale.size());
}

void layer_norm_row(const std::string& isa, const FloatArray& scale, const FloatArray& shift, float epsilon,
                    const FloatArray& x, FloatArray y) {
  table_of(isa).layer_norm_row(scale.data(), shift.data(), epsilon, x.data(), y.mutable_data(), scale.size());
}

// k, v: (vectors of 16 keys, depth, 16); q, y: one (depth, 16) array a query vector; scores: (slots, query vectors,
// 16).
double attention(const std::string& isa, const FloatArray& k, const FloatArray& v, int first_lane, int64_t keys,
                 float scale, const std::optional<FloatArray>& key_mask, bool masked_scores, bool zero_nan,
                 const Vectors& q, Vectors y, const std::vector<uint16_t>& lanes, FloatArray scores, int repeats) {
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
  a.zero_nan = zero_nan;
  AttentionQueries queries;
  queries.vectors = static_cast<int>(q.size());
  for (size_t i = 0; i < q.size(); ++i) {
    queries.q[i] = q[i].data();
    queries.y[i] = y.at(i).mutable_data();
    queries.lanes[i] = lanes.at(i);
  }
  double best = 1e300;
  for (int round = 0; round < repeats; ++round) {
    const auto start = std::chrono::steady_clock::now();
    table_of(isa).attention(a, queries, scores.mutable_data());
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::min(best, elapsed.count());
  }
  return best;
}

}  // namespace

void bind_attention_kernels(py::module_& module) {
  module.def("layer_norm", &layer_norm, "isa, scale, shift, epsilon, x (channels, 16), y");
  module.def("layer_norm_row", &layer_norm_row, "isa, scale, shift, epsilon, x, y");
  module.def("attention_tile", [](const std::string& isa) { return table_of(isa).attention_tile; });
  module.def("attention", &attention, py::arg("isa"), py::arg("k"), py::arg("v"), py::arg("first_lane"),
             py::arg("keys"), py::arg("scale"), py::arg("key_mask"), py::arg("masked_scores"), py::arg("zero_nan"),
             py::arg("q"), py::arg("y"), py::arg("lanes"), py::arg("scores"), py::arg("repeats") = 1,
             "One head; seconds of the fastest repeat.");
}
