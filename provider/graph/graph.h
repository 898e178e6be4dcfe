// A plain, read-only picture of an OrtGraph: nodes, values, constants as typed spans. No ORT type in
// it, so recognise/ and everything after can be read, tested and fuzzed without ORT. Constant data points
// into ORT's memory and lives as long as the OrtGraph (one GetCapability or Compile call).
#pragma once
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "graph/index.h"

namespace sparsecpu {

// Numbers are ONNX's TensorProto.DataType.
enum class ElementType : int32_t {
  kUndefined = 0,
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kUint32 = 12,
  kUint64 = 13,
  kBfloat16 = 16,
};

constexpr bool is_byte(ElementType type) { return type == ElementType::kUint8 || type == ElementType::kInt8; }

struct Constant {
  ElementType type = ElementType::kUndefined;
  std::vector<int64_t> dims;
  const void* data = nullptr;  // may be unaligned
  size_t bytes = 0;
  std::shared_ptr<const std::vector<float>> computed;  // owns the data of what is no initializer (dequantized.h)

  int64_t size() const {
    int64_t n = 1;
    for (int64_t d : dims) n *= d;
    return n;
  }
};

struct Value {
  std::string name;
  ElementType type = ElementType::kUndefined;
  bool has_shape = false;            // false: even the rank is unknown
  std::vector<int64_t> dims;         // -1: unknown
  std::vector<std::string> symbols;  // per dim: the symbolic name, or ""
  int producer = -1;                 // node index, or -1 (graph input, initializer, outer scope)
  IndexList consumers;               // node indices, one entry a use
  bool is_graph_output = false;
  bool is_outer_scope = false;
  bool is_constant = false;  // `constant` is filled; it may have a producer (dequantized.h)
  Constant constant;
};

// No attribute is one of these. Without an alternative whose copy is not trivial, libstdc++ takes a variant of numbers,
// vectors and strings to hold a value at all times, and destroys one that is not there when copying runs out of memory.
struct NoAttribute {
  NoAttribute() = default;
  NoAttribute(const NoAttribute&) {}
  NoAttribute& operator=(const NoAttribute&) { return *this; }
};
using Attribute = std::variant<int64_t, std::vector<int64_t>, float, std::vector<float>, std::string, NoAttribute>;

struct Node {
  size_t id = 0;                      // ORT's node id
  std::string name, op_type, domain;  // as ONNX Runtime shows them; domain "" is ai.onnx
  std::string op;                     // what it is (operators.h)
  int since_version = 0;
  IndexList inputs, outputs;                    // value indices; -1: an absent optional
  std::map<std::string, Attribute> attributes;  // tensor and graph attributes are left out
  bool has_subgraph = false;
  bool assigned_elsewhere = false;  // another provider has taken it already

  int64_t attribute(const std::string& key, int64_t fallback) const;
  float attribute(const std::string& key, float fallback) const;
  std::string attribute(const std::string& key, const char* fallback) const;
  std::vector<int64_t> attribute(const std::string& key, std::vector<int64_t> fallback) const;
  std::vector<float> attribute(const std::string& key, std::vector<float> fallback) const;
  // The name of one that is NaN; null: none is.
  const std::string* nan_attribute() const;
};

struct Graph {
  std::string name;
  std::string model_path;
  int ort_minor = std::numeric_limits<int>::max();  // of the ONNX Runtime that runs, 1.x
  Table<Node> nodes;                                // topological order
  Table<Value> values;
  IndexList inputs, outputs;  // value indices
  bool checks_inputs = true;  // what is fed fits the sizes that `inputs` declare; not so in a body of If, Loop or Scan

  // The node that makes a value, of whatever domain; -1: none, or no value.
  int producer(int value) const { return values[value].producer; }
};

}  // namespace sparsecpu
