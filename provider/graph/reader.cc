#include "graph/reader.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <unordered_map>

#include "abi/ort_api.h"
#include "base/name.h"
#include "graph/dequantized.h"
#include "graph/operators.h"

namespace sparsecpu {
namespace {

using ort::api;
using ort::check;
using ort::get;
using ort::get_list;
using ort::get_string;

// Bytes per element; 0 for types that have no fixed whole-byte size or that are not numbers.
size_t element_bytes(ElementType type) {
  switch (type) {
    case ElementType::kUint8:
    case ElementType::kInt8:
    case ElementType::kBool:
      return 1;
    case ElementType::kUint16:
    case ElementType::kInt16:
    case ElementType::kFloat16:
    case ElementType::kBfloat16:
      return 2;
    case ElementType::kFloat:
    case ElementType::kInt32:
    case ElementType::kUint32:
      return 4;
    case ElementType::kDouble:
    case ElementType::kInt64:
    case ElementType::kUint64:
      return 8;
    default:
      return 0;
  }
}

// dims x element size, or false when a dim is negative or the product overflows.
bool tensor_bytes(const std::vector<int64_t>& dims, size_t element, size_t* bytes) {
  size_t total = element;
  for (int64_t dim : dims) {
    if (dim < 0 || __builtin_mul_overflow(total, static_cast<size_t>(dim), &total)) return false;
  }
  *bytes = total;
  return true;
}

bool read_constant(const ort::OrtValueInfo* info, Constant* constant) {
  try {
    const ort::OrtValue* value = get(api().ValueInfo_GetInitializerValue, info);
    if (value == nullptr) return false;
    ort::TensorInfo tensor = ort::tensor_info(value);
    constant->type = static_cast<ElementType>(tensor.type);
    constant->dims = std::move(tensor.dims);
    const size_t element = element_bytes(constant->type);
    size_t stored = 0;
    check(api().GetTensorSizeInBytes(value, &stored));
    if (element == 0 || !tensor_bytes(constant->dims, element, &constant->bytes) || constant->bytes != stored) {
      return false;
    }
    constant->data = get(api().GetTensorData, value);
    return constant->data != nullptr || constant->bytes == 0;
  } catch (const ort::OrtError&) {
    return false;  // reader.h: the provider that gets the node reports it
  }
}

void read_type(const ort::OrtValueInfo* info, Value* value) {
  const ort::OrtTypeInfo* type = get(api().GetValueInfoTypeInfo, info);
  if (type == nullptr) return;
  const ort::OrtTensorTypeAndShapeInfo* tensor = get(api().CastTypeInfoToTensorInfo, type);
  if (tensor == nullptr) return;  // a sequence, map or optional
  value->type = static_cast<ElementType>(get(api().GetTensorElementType, tensor));
  value->dims = get_list(api().GetDimensionsCount, api().GetDimensions, tensor);
  value->has_shape = !value->dims.empty();
  std::vector<const char*> symbols(value->dims.size(), nullptr);
  if (!symbols.empty()) check(api().GetSymbolicDimensions(tensor, symbols.data(), symbols.size()));
  for (const char* symbol : symbols) value->symbols.emplace_back(symbol != nullptr ? symbol : "");
  for (int64_t& dim : value->dims) {
    if (dim < 0) dim = -1;
  }
}

template <class T>
std::vector<T> read_array(const ort::OrtOpAttr* attribute, ort::OrtOpAttrType type) {
  // A call without room reports the size as an error: it is read, the status dropped.
  size_t bytes = 0;
  ort::ignore(api().ReadOpAttr(attribute, type, nullptr, 0, &bytes));
  std::vector<T> values(bytes / sizeof(T));
  if (!values.empty()) check(api().ReadOpAttr(attribute, type, values.data(), bytes, &bytes));
  return values;
}

template <class T>
T read_scalar(const ort::OrtOpAttr* attribute, ort::OrtOpAttrType type) {
  T value{};
  size_t bytes = 0;
  check(api().ReadOpAttr(attribute, type, &value, sizeof(value), &bytes));
  return value;
}

void read_attributes(const ort::OrtNode* handle, Node* node) {
  for (const ort::OrtOpAttr* attribute : get_list(api().Node_GetNumAttributes, api().Node_GetAttributes, handle)) {
    if (attribute == nullptr) continue;
    ort::OrtOpAttrType type{};
    // Graph and tensor attributes, which graph.h leaves out, may have no type at API 23: an error is no harm.
    if (ort::OrtStatus* status = api().OpAttr_GetType(attribute, &type)) {
      ort::ignore(status);
      continue;
    }
    Attribute value;
    if (type == ort::ORT_OP_ATTR_INT) {
      value = read_scalar<int64_t>(attribute, type);
    } else if (type == ort::ORT_OP_ATTR_FLOAT) {
      value = read_scalar<float>(attribute, type);
    } else if (type == ort::ORT_OP_ATTR_INTS) {
      value = read_array<int64_t>(attribute, type);
    } else if (type == ort::ORT_OP_ATTR_FLOATS) {
      value = read_array<float>(attribute, type);
    } else if (type == ort::ORT_OP_ATTR_STRING) {
      const std::vector<char> text = read_array<char>(attribute, type);
      value = std::string(text.begin(), text.end());
    } else {
      continue;
    }
    node->attributes.emplace(get_string(api().OpAttr_GetName, attribute), std::move(value));
  }
}

class Reader {
 public:
  explicit Reader(const ort::OrtGraph* handle) : handle_(handle) {}

  Graph read() {
    graph_.name = get_string(api().Graph_GetName, handle_);
    graph_.model_path = get_string(api().Graph_GetModelPath, handle_);
    graph_.checks_inputs = get(api().Graph_GetParentNode, handle_) == nullptr;
    const std::string_view version = ort::host_version();  // "1.25.1"
    std::from_chars(version.data() + version.find('.') + 1, version.data() + version.size(), graph_.ort_minor);
    for (const auto* info : get_list(api().Graph_GetNumInputs, api().Graph_GetInputs, handle_)) {
      graph_.inputs.push_back(value_index(info));
    }
    for (const ort::OrtNode* node : node_handles(handle_)) read_node(node);
    for (const auto* info : get_list(api().Graph_GetNumOutputs, api().Graph_GetOutputs, handle_)) {
      graph_.outputs.push_back(value_index(info));
    }
    add_dequantized_constants(&graph_);
    return std::move(graph_);
  }

 private:
  int value_index(const ort::OrtValueInfo* info) {
    if (info == nullptr) return -1;
    std::string name = get_string(api().GetValueInfoName, info);
    if (name.empty()) return -1;  // an optional that is left out
    const auto [it, is_new] = by_name_.try_emplace(name, static_cast<int>(graph_.values.size()));
    if (!is_new) return it->second;
    Value& value = graph_.values.emplace_back();
    value.name = std::move(name);
    read_type(info, &value);
    value.is_graph_output = get(api().ValueInfo_IsGraphOutput, info);
    value.is_outer_scope = get(api().ValueInfo_IsFromOuterScope, info);
    if (get(api().ValueInfo_IsConstantInitializer, info) && read_constant(info, &value.constant)) {
      value.is_constant = true;
      value.has_shape = true;
      value.type = value.constant.type;
      value.dims = value.constant.dims;
      value.symbols.assign(value.dims.size(), "");
    }
    return it->second;
  }

  void read_node(const ort::OrtNode* handle) {
    const int index = static_cast<int>(graph_.nodes.size());
    Node node;
    node.id = get(api().Node_GetId, handle);
    node.name = get_string(api().Node_GetName, handle);
    node.op_type = get_string(api().Node_GetOperatorType, handle);
    node.domain = get_string(api().Node_GetDomain, handle);
    if (node.domain == "ai.onnx") node.domain.clear();
    node.since_version = get(api().Node_GetSinceVersion, handle);
    node.op = operator_name(node.domain, node.op_type, node.since_version);
    node.has_subgraph = get(api().Node_GetNumSubgraphs, handle) > 0;
    const std::string provider = get_string(api().Node_GetEpName, handle);
    node.assigned_elsewhere = !provider.empty() && provider != kProviderName;
    for (const auto* info : get_list(api().Node_GetNumInputs, api().Node_GetInputs, handle)) {
      node.inputs.push_back(value_index(info));
    }
    if (node.has_subgraph) {
      for (const auto* info : get_list(api().Node_GetNumImplicitInputs, api().Node_GetImplicitInputs, handle)) {
        node.inputs.push_back(value_index(info));
      }
    }
    for (const auto* info : get_list(api().Node_GetNumOutputs, api().Node_GetOutputs, handle)) {
      node.outputs.push_back(value_index(info));
    }
    for (int input : node.inputs) {
      if (input >= 0) graph_.values[input].consumers.push_back(index);
    }
    for (int output : node.outputs) {
      if (output >= 0) graph_.values[output].producer = index;
    }
    read_attributes(handle, &node);
    graph_.nodes.push_back(std::move(node));
  }

  const ort::OrtGraph* handle_;
  Graph graph_;
  std::unordered_map<std::string, int> by_name_;
};

}  // namespace

Graph read_graph(const ort::OrtGraph* graph) { return Reader(graph).read(); }

std::vector<const ort::OrtNode*> node_handles(const ort::OrtGraph* graph) {
  return get_list(api().Graph_GetNumNodes, api().Graph_GetNodes, graph);
}

}  // namespace sparsecpu
