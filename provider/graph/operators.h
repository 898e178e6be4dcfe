// Which operators this code knows: the one place where domain and version are looked at.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace sparsecpu {

// The name by which recognise/ tells operators apart: "Relu" for the one of ONNX, "com.microsoft.QLinearAdd" for one of
// onnxruntime's. "" for every other domain, which may call anything Relu, and for versions that mean something else
// than later ones or are not known yet: names that are equal mean the same.
std::string operator_name(std::string_view domain, std::string_view op_type, int since_version);

// MatMul and Gemm, by the same names.
inline bool is_product(std::string_view op) { return op == "MatMul" || op == "Gemm"; }

// Whether a name is among these, which are as operator_name() gives them.
bool is_any_of(std::string_view op, std::span<const std::string_view> names);

}  // namespace sparsecpu
