// Bindings of the kernels without weights: elementwise, pooling, sums, moments, row transposes. Sizes are not checked.
#include "kernels_elementwise.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <vector>

#include "bindings.h"

namespace py = pybind11;
using namespace sparsecpu;

const Level& level_named(const std::string& isa) {
  const Level* level = find_level(isa);
  if (level == nullptr) throw py::value_error("no instruction-set level is called " + isa);
  return *level;
}

const KernelTable& table_of(const std::string& isa) { return *level_named(isa).kernels; }

namespace {

void unary(const std::string& isa, UnaryKind kind, float a, float b, const FloatArray& x, FloatArray y) {
  table_of(isa).unary(kind, a, b, x.data(), y.mutable_data(), x.size());
}

void binary(const std::string& isa, BinaryKind kind, const FloatArray& a, const FloatArray& b, FloatArray y) {
  table_of(isa).binary(kind, a.data(), b.data(), y.mutable_data(), a.size());
}

void affine(const std::string& isa, const FloatArray& scale, const FloatArray& shift, const FloatArray& x,
            FloatArray y) {
  table_of(isa).affine(scale.data(), shift.data(), x.data(), y.mutable_data(), scale.size());
}

void prelu(const std::string& isa, const FloatArray& slope, const FloatArray& x, FloatArray y) {
  table_of(isa).prelu(slope.data(), x.data(), y.mutable_data(), slope.size());
}

// x: (taps, count)
void pool_max(const std::string& isa, const FloatArray& x, FloatArray y) {
  table_of(isa).pool_max(tap_pointers(x).data(), static_cast<int>(x.shape(0)), y.mutable_data(), y.size());
}

void pool_average(const std::string& isa, const FloatArray& x, const FloatArray& lane_scale, FloatArray y) {
  table_of(isa).pool_average(tap_pointers(x).data(), static_cast<int>(x.shape(0)), lane_scale.data(), y.mutable_data(),
                             y.size());
}

// rows: 16 arrays or None; the length of row l is its array's.
void load_rows(const std::string& isa, const std::vector<std::optional<FloatArray>>& rows, int64_t count, float fill,
               FloatArray y, int64_t stride) {
  const float* pointers[kLanes];
  int64_t lengths[kLanes];
  for (size_t l = 0; l < kLanes; ++l) {
    pointers[l] = rows.at(l) ? rows[l]->data() : nullptr;
    lengths[l] = rows[l] ? rows[l]->size() : 0;
  }
  table_of(isa).load_rows({lengths, count, stride}, pointers, fill, y.mutable_data());
}

void store_rows(const std::string& isa, const FloatArray& x, int64_t stride, int64_t count,
                std::vector<std::optional<FloatArray>> rows) {
  float* pointers[kLanes];
  int64_t lengths[kLanes];
  for (size_t l = 0; l < kLanes; ++l) {
    pointers[l] = rows.at(l) ? rows[l]->mutable_data() : nullptr;
    lengths[l] = rows[l] ? rows[l]->size() : 0;
  }
  table_of(isa).store_rows({lengths, count, stride}, x.data(), pointers);
}

void sum_positions(const std::string& isa, const FloatArray& x, const std::vector<ptrdiff_t>& offset,
                   const std::vector<uint16_t>& mask, int64_t begin, int64_t end, FloatArray y) {
  table_of(isa).sum_positions(x.data(), offset.data(), mask.data(), static_cast<int64_t>(mask.size()), begin, end,
                              y.mutable_data());
}

// Rows: count, centre, distance, square.
void lane_moments(const std::string& isa, const FloatArray& x, const std::vector<ptrdiff_t>& offset,
                  const std::vector<uint16_t>& mask, int64_t channels, FloatArray moments) {
  LaneMoments result;
  table_of(isa).lane_moments(x.data(), offset.data(), mask.data(), static_cast<int64_t>(mask.size()), channels,
                             &result);
  const float* rows[] = {result.count, result.centre, result.distance, result.square};
  for (size_t row = 0; row < std::size(rows); ++row)
    std::copy_n(rows[row], kLanes, moments.mutable_data() + row * kLanes);
}

// units: rows centre, factor, shift.
void normalize(const std::string& isa, const FloatArray& units, const FloatArray& scale, const FloatArray& offset,
               const FloatArray& x, FloatArray y) {
  LaneUnits given;
  std::copy_n(units.data(), kLanes, given.centre);
  std::copy_n(units.data() + kLanes, kLanes, given.factor);
  std::copy_n(units.data() + 2 * kLanes, kLanes, given.shift);
  table_of(isa).normalize(given, scale.data(), offset.data(), x.data(), y.mutable_data(), scale.size());
}

void bind_kinds(py::module_& module) {
  py::enum_<UnaryKind>(module, "UnaryKind")
      .value("relu", UnaryKind::kRelu)
      .value("clip", UnaryKind::kClip)
      .value("leaky_relu", UnaryKind::kLeakyRelu)
      .value("sigmoid", UnaryKind::kSigmoid)
      .value("silu", UnaryKind::kSilu)
      .value("hard_sigmoid", UnaryKind::kHardSigmoid)
      .value("hard_swish", UnaryKind::kHardSwish)
      .value("gelu", UnaryKind::kGelu)
      .value("gelu_tanh", UnaryKind::kGeluTanh)
      .value("tanh", UnaryKind::kTanh)
      .value("erf", UnaryKind::kErf)
      .value("exp", UnaryKind::kExp)
      .value("softplus", UnaryKind::kSoftplus)
      .value("elu", UnaryKind::kElu)
      .value("softsign", UnaryKind::kSoftsign)
      .value("sqrt", UnaryKind::kSqrt)
      .value("reciprocal", UnaryKind::kReciprocal)
      .value("square", UnaryKind::kSquare)
      .value("abs", UnaryKind::kAbs)
      .value("round", UnaryKind::kRound)
      .value("floor", UnaryKind::kFloor)
      .value("ceil", UnaryKind::kCeil);
  py::enum_<BinaryKind>(module, "BinaryKind")
      .value("add", BinaryKind::kAdd)
      .value("sub", BinaryKind::kSub)
      .value("mul", BinaryKind::kMul)
      .value("div", BinaryKind::kDiv)
      .value("max", BinaryKind::kMax)
      .value("min", BinaryKind::kMin);
}

}  // namespace

void bind_elementwise_kernels(py::module_& module) {
  bind_kinds(module);
  bind_layout(module);
  module.def("unary", &unary, "isa, kind, a, b, x, y");
  module.def("binary", &binary, "isa, kind, a, b, y");
  module.def("affine", &affine, "isa, scale, shift, x, y");
  module.def("prelu", &prelu, "isa, slope, x, y");
  module.def("pool_max", &pool_max, "isa, x, y");
  module.def("pool_average", &pool_average, "isa, x, lane_scale, y");
  module.def("load_rows", &load_rows, "isa, rows, count, fill, y, stride");
  module.def("store_rows", &store_rows, "isa, x, stride, count, rows");
  module.def("sum_positions", &sum_positions, "isa, x, offset, mask, begin, end, y");
  module.def("lane_moments", &lane_moments, "isa, x, offset, mask, channels, moments (4, 16)");
  module.def("normalize", &normalize, "isa, units (3, 16), scale, offset, x (channels, 16), y");
}
