#include "graph/operators.h"

#include <algorithm>
#include <iterator>

namespace sparsecpu {
namespace {

// Opsets whose operators have been looked at. A later version may have changed what one of them means.
constexpr int kLatest = 28;

// Versions before these mean something else (broadcasting by attribute, sizes as attributes, training outputs), or
// onnxruntime's CPU provider has no kernel of them.
struct First {
  std::string_view op_type;
  int version;
};
constexpr First kFirst[] = {
    {"Add", 7},     {"Sub", 7},         {"Mul", 7},     {"Div", 7},         {"Pow", 7},
    {"And", 7},     {"Or", 7},          {"Equal", 7},   {"Less", 7},        {"Greater", 7},
    {"Gemm", 7},    {"PRelu", 7},       {"Dropout", 7}, {"AveragePool", 7}, {"BatchNormalization", 7},
    {"Relu", 6},    {"Clip", 6},        {"Tanh", 6},    {"LeakyRelu", 6},   {"Sigmoid", 6},
    {"Elu", 6},     {"HardSigmoid", 6}, {"Selu", 6},    {"Sqrt", 6},        {"Reciprocal", 6},
    {"Neg", 6},     {"Floor", 6},       {"Ceil", 6},    {"Exp", 6},         {"Log", 6},
    {"Abs", 6},     {"Cast", 6},        {"Max", 8},     {"Min", 8},         {"InstanceNormalization", 6},
    {"Reshape", 5}, {"Concat", 4},      {"Pad", 2},     {"Split", 2},       {"Resize", 11},
};

}  // namespace

std::string operator_name(std::string_view domain, std::string_view op_type, int since_version) {
  const bool onnx = domain.empty() || domain == "ai.onnx";
  // A function of a model may have any name, also one with a domain in it.
  if ((!onnx && domain != "com.microsoft") || op_type.find('.') != op_type.npos) return "";
  if (!onnx) return "com.microsoft." + std::string(op_type);
  const auto first =
      std::find_if(std::begin(kFirst), std::end(kFirst), [&](const First& f) { return f.op_type == op_type; });
  const bool known = since_version <= kLatest && (first == std::end(kFirst) || since_version >= first->version);
  return known ? std::string(op_type) : "";
}

bool is_any_of(std::string_view op, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), op) != names.end();
}

}  // namespace sparsecpu
