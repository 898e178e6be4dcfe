#include "facts/infer.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>

#include "facts/constants.h"
#include "facts/numbers.h"

namespace sparsecpu {
namespace {

// Bounds of Slice are as far out as int64 reaches; nothing that is looked at is as large.
int64_t to_int(double number) { return static_cast<int64_t>(std::clamp(number, -1e15, 1e15)); }

int64_t normal(int64_t axis, size_t rank) { return axis < 0 ? axis + static_cast<int64_t>(rank) : axis; }
bool is_axis(int64_t axis, size_t rank) { return axis >= 0 && axis < static_cast<int64_t>(rank); }

// One node for one choice of sizes.
class Inference {
 public:
  Inference(const Node& node, const std::vector<KnownTensor>& inputs, bool integers)
      : node_(node), inputs_(inputs), integers_(integers), outputs_(node.outputs.size()) {}

  std::vector<KnownTensor> run() {
    if (inputs_.empty() || outputs_.empty()) return outputs_;
    if (const Rule rule = rule_of(node_.op)) (this->*rule)();
    for (KnownTensor& output : outputs_) check(&output);
    return outputs_;
  }

 private:
  using Rule = void (Inference::*)();
  static Rule rule_of(std::string_view op_type);  // null: none

  const KnownTensor& in(size_t i) const {
    static const KnownTensor kNothing;
    return i < inputs_.size() ? inputs_[i] : kNothing;
  }
  KnownTensor& out() { return outputs_[0]; }

  static void check(KnownTensor* tensor) {
    const int64_t count = tensor->shape ? element_count(*tensor->shape) : -1;
    if (count < 0) tensor->shape.reset();
    if (tensor->numbers && (count > kMostNumbers || count != static_cast<int64_t>(tensor->numbers->size())))
      tensor->numbers.reset();
  }

  // Integers that are an input, or an attribute in older opsets.
  std::optional<std::vector<int64_t>> integers(size_t input, const char* key) const {
    if (input >= inputs_.size()) {
      if (node_.attributes.count(key) == 0) return std::nullopt;
      return node_.attribute(key, std::vector<int64_t>{});
    }
    if (!in(input).numbers) return std::nullopt;
    std::vector<int64_t> result;
    for (double number : *in(input).numbers) result.push_back(to_int(number));
    return result;
  }

  void shape() {
    if (!in(0).shape) return;
    const int64_t rank = static_cast<int64_t>(in(0).shape->size());
    const auto bound = [&](const char* key, int64_t fallback) {
      return std::clamp<int64_t>(normal(node_.attribute(key, fallback), static_cast<size_t>(rank)), 0, rank);
    };
    const int64_t start = bound("start", 0), end = std::max(start, bound("end", rank));
    out().shape = Shape{end - start};
    out().numbers.emplace(in(0).shape->begin() + start, in(0).shape->begin() + end);
  }

  // QLinear operators of two: bytes, scale and zero point of each.
  void quantized_binary() {
    if (in(0).shape && in(3).shape) out().shape = broadcast_shape(*in(0).shape, *in(3).shape);
  }

  void binary() {
    if (inputs_.size() != 2 || !in(0).shape || !in(1).shape) return;
    out().shape = broadcast_shape(*in(0).shape, *in(1).shape);
    if (!out().shape || element_count(*out().shape) > kMostNumbers || !in(0).numbers || !in(1).numbers) return;
    const Numbers a = spread(*in(0).numbers, *in(0).shape, *out().shape);
    const Numbers b = spread(*in(1).numbers, *in(1).shape, *out().shape);
    out().numbers.emplace(a.size());
    std::transform(a.begin(), a.end(), b.begin(), out().numbers->begin(), binary_number(node_.op, integers_));
  }

  void unary() {
    out() = in(0);
    if (!out().numbers) return;
    Numbers& numbers = *out().numbers;
    std::transform(numbers.begin(), numbers.end(), numbers.begin(), unary_number(node_.op, integers_));
  }

  void where() {
    if (inputs_.size() != 3 || !in(0).shape || !in(1).shape || !in(2).shape) return;
    const std::optional<Shape> values = broadcast_shape(*in(1).shape, *in(2).shape);
    if (!values) return;
    out().shape = broadcast_shape(*in(0).shape, *values);
    if (!out().shape || element_count(*out().shape) > kMostNumbers) return;
    if (!in(0).numbers || !in(1).numbers || !in(2).numbers) return;
    const Numbers condition = spread(*in(0).numbers, *in(0).shape, *out().shape);
    out().numbers = spread(*in(1).numbers, *in(1).shape, *out().shape);
    const Numbers otherwise = spread(*in(2).numbers, *in(2).shape, *out().shape);
    for (size_t i = 0; i < condition.size(); ++i) {
      if (condition[i] == 0) (*out().numbers)[i] = otherwise[i];
    }
  }

  void gather() {
    if (!in(0).shape || !in(1).shape) return;
    const Shape &data = *in(0).shape, &indices = *in(1).shape;
    const int64_t axis = normal(node_.attribute("axis", int64_t{0}), data.size());
    if (!is_axis(axis, data.size())) return;
    out().shape = Shape(data.begin(), data.begin() + axis);
    out().shape->insert(out().shape->end(), indices.begin(), indices.end());
    out().shape->insert(out().shape->end(), data.begin() + axis + 1, data.end());
    if (data.size() != 1 || !in(0).numbers || !in(1).numbers) return;
    out().numbers.emplace();
    for (double index : *in(1).numbers) {
      const int64_t at = normal(to_int(index), static_cast<size_t>(data[0]));
      if (!is_axis(at, static_cast<size_t>(data[0]))) return out().numbers.reset();
      out().numbers->push_back((*in(0).numbers)[static_cast<size_t>(at)]);
    }
  }

  // Unsqueeze, Squeeze, Reshape, Flatten: the numbers stay.
  void reshape() {
    if (!in(0).shape) return;
    Op op{Reshape{}, {0}, 0, -1, ""};
    Reshape& reshape = std::get<Reshape>(op.data);
    const bool target = node_.op == "Reshape";
    const auto list = integers(1, target ? "shape" : "axes");
    if (node_.op == "Flatten") {
      reshape.kind = Reshape::Kind::kFlatten;
      reshape.axis = node_.attribute("axis", int64_t{1});
    } else if (list) {
      reshape.kind = target                  ? Reshape::Kind::kTarget
                     : node_.op == "Squeeze" ? Reshape::Kind::kSqueeze
                                             : Reshape::Kind::kUnsqueeze;
      reshape.target = *list;
      reshape.allow_zero = node_.attribute("allowzero", int64_t{0}) == 1;
    } else if (node_.op == "Squeeze" && inputs_.size() == 1) {  // all axes of size 1
      reshape.kind = Reshape::Kind::kSqueeze;
      for (size_t i = 0; i < in(0).shape->size(); ++i) {
        if ((*in(0).shape)[i] == 1) reshape.target.push_back(static_cast<int64_t>(i));
      }
    } else {
      return;
    }
    try {
      out().shape = output_shape(op, {*in(0).shape});
      out().numbers = in(0).numbers;
    } catch (const std::exception&) {  // a shape that is wrong, or only assumed
      out() = {};
    }
  }

  void concat() {
    if (!in(0).shape) return;
    Shape shape = *in(0).shape;
    const int64_t axis = normal(node_.attribute("axis", int64_t{0}), shape.size());
    if (!is_axis(axis, shape.size())) return;
    shape[axis] = 0;
    Numbers joined;
    bool numbers = shape.size() == 1;
    for (const KnownTensor& input : inputs_) {
      if (!input.shape || input.shape->size() != shape.size()) return;
      shape[axis] += (*input.shape)[axis];
      numbers = numbers && input.numbers;
      if (numbers) joined.insert(joined.end(), input.numbers->begin(), input.numbers->end());
    }
    out().shape = std::move(shape);
    if (numbers) out().numbers = std::move(joined);
  }

  void slice() {
    const auto starts = integers(1, "starts"), ends = integers(2, "ends");
    auto axes = integers(3, "axes"), steps = integers(4, "steps");
    if (!in(0).shape || !starts || !ends || starts->size() != ends->size()) return;
    if ((inputs_.size() > 3 && !axes) || (inputs_.size() > 4 && !steps)) return;
    if ((axes && axes->size() != starts->size()) || (steps && steps->size() != starts->size())) return;
    Shape shape = *in(0).shape;
    std::vector<int64_t> first(shape.size(), 0);
    for (size_t i = 0; i < starts->size(); ++i) {
      const int64_t axis = normal(axes ? (*axes)[i] : static_cast<int64_t>(i), shape.size());
      if (!is_axis(axis, shape.size()) || (steps && (*steps)[i] != 1)) return;
      const int64_t size = shape[axis];
      const auto bound = [&](int64_t b) { return std::clamp<int64_t>(b < 0 ? b + size : b, 0, size); };
      first[axis] = bound((*starts)[i]);
      // A computed end lies within the tensor in every run that works: a table of positions is as long as they need.
      const bool computed = !in(2).is_constant && (*ends)[i] > size;
      shape[axis] = std::max<int64_t>(0, (computed ? (*ends)[i] : bound((*ends)[i])) - first[axis]);
    }
    out().shape = shape;
    if (shape.size() != 1 || !in(0).numbers || first[0] + shape[0] > (*in(0).shape)[0]) return;
    const auto begin = in(0).numbers->begin() + first[0];
    out().numbers.emplace(begin, begin + shape[0]);
  }

  void transpose() {
    if (!in(0).shape) return;
    const Shape& from = *in(0).shape;
    std::vector<int64_t> perm = node_.attribute("perm", std::vector<int64_t>{});
    if (perm.empty()) {
      for (size_t i = from.size(); i-- > 0;) perm.push_back(static_cast<int64_t>(i));
    }
    if (perm.size() != from.size()) return;
    out().shape.emplace();
    for (int64_t axis : perm) {
      if (!is_axis(axis, from.size())) return out().shape.reset();
      out().shape->push_back(from[axis]);
    }
  }

  void matmul() {
    const std::optional<Shape>&left = in(0).shape, &right = in(node_.op == "QLinearMatMul" ? 3 : 1).shape;
    if (!left || !right || left->size() < 2 || right->size() < 2) return;
    Shape a = *left, b = *right;
    // FusedMatMul
    const auto flag = [&](const char* name) { return node_.attribute(name, int64_t{0}) != 0; };
    if (flag("transBatchA") || flag("transBatchB")) return;
    if (flag("transA")) std::swap(a.back(), a[a.size() - 2]);
    if (flag("transB")) std::swap(b.back(), b[b.size() - 2]);
    if (a.back() != b[b.size() - 2]) return;
    out().shape = broadcast_shape(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
    if (out().shape) out().shape->insert(out().shape->end(), {a[a.size() - 2], b.back()});
  }

  void expand() {
    const auto target = integers(1, "");
    if (in(0).shape && target) out().shape = broadcast_shape(*in(0).shape, *target);
  }

  // Its value is an attribute that graph/ leaves out.
  void constant_of_shape() {
    if (const auto target = integers(0, "")) out().shape = *target;
  }

  void shape_of_indices() { out().shape = in(1).shape; }

  void range() {
    for (size_t i = 0; i < 3; ++i) {
      if (!in(i).numbers || in(i).numbers->size() != 1) return;
    }
    const double start = in(0).numbers->front(), limit = in(1).numbers->front(), delta = in(2).numbers->front();
    if (delta == 0) return;
    const double steps = (limit - start) / delta;
    out().shape = Shape{to_int(std::max(0.0, std::ceil(steps)))};
  }

  void split() {
    const size_t rank = in(0).shape ? in(0).shape->size() : 0;
    const int64_t axis = normal(node_.attribute("axis", int64_t{0}), rank);
    if (!is_axis(axis, rank)) return;
    auto sizes = integers(1, "split");
    const auto parts = static_cast<int64_t>(outputs_.size()), whole = (*in(0).shape)[axis];
    if (!sizes && inputs_.size() == 1 && whole % parts == 0)
      sizes = std::vector<int64_t>(outputs_.size(), whole / parts);
    if (!sizes || sizes->size() != outputs_.size()) return;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      outputs_[i].shape = in(0).shape;
      (*outputs_[i].shape)[axis] = (*sizes)[i];
    }
  }

  // [batch, tokens, channels] or [batch, heads, tokens, width]: of the queries, but for the last axis.
  void attention() {
    const bool joined = in(1).shape && in(1).shape->size() == 2;  // weights of queries, keys and values
    const std::optional<Shape>&queries = in(0).shape, &values = in(joined ? 1 : 2).shape;
    if (!queries || !values || queries->size() < 3 || node_.attributes.count("qkv_hidden_sizes") > 0) return;
    if (!joined && values->size() != queries->size()) return;
    out().shape = queries;
    out().shape->back() = values->back() / (joined ? 3 : 1);
  }

  void reduce() {
    const auto axes = integers(1, "axes");
    if (!in(0).shape || !axes || axes->empty() || node_.attribute("keepdims", int64_t{1}) != 1) return;
    out().shape = in(0).shape;
    for (int64_t axis : *axes) {
      axis = normal(axis, out().shape->size());
      if (!is_axis(axis, out().shape->size())) return out().shape.reset();
      (*out().shape)[axis] = 1;
    }
  }

  const Node& node_;
  const std::vector<KnownTensor>& inputs_;
  const bool integers_;
  std::vector<KnownTensor> outputs_;
};

Inference::Rule Inference::rule_of(std::string_view op_type) {
  static constexpr std::pair<std::string_view, Rule> kRules[] = {
      {"Shape", &Inference::shape},
      {"Where", &Inference::where},
      {"Gather", &Inference::gather},
      {"GatherElements", &Inference::shape_of_indices},
      {"Unsqueeze", &Inference::reshape},
      {"Squeeze", &Inference::reshape},
      {"Reshape", &Inference::reshape},
      {"Flatten", &Inference::reshape},
      {"Concat", &Inference::concat},
      {"Slice", &Inference::slice},
      {"Split", &Inference::split},
      {"Transpose", &Inference::transpose},
      {"MatMul", &Inference::matmul},
      {"com.microsoft.FusedMatMul", &Inference::matmul},
      {"QLinearMatMul", &Inference::matmul},
      {"com.microsoft.QLinearAdd", &Inference::quantized_binary},
      {"com.microsoft.QLinearMul", &Inference::quantized_binary},
      {"Attention", &Inference::attention},
      {"com.microsoft.Attention", &Inference::attention},
      {"com.microsoft.MultiHeadAttention", &Inference::attention},
      {"Expand", &Inference::expand},
      {"ConstantOfShape", &Inference::constant_of_shape},
      {"Range", &Inference::range},
      {"ReduceMean", &Inference::reduce},
      {"ReduceSum", &Inference::reduce},
      {"ReduceMax", &Inference::reduce},
  };
  if (binary_number(op_type, false) != nullptr) return &Inference::binary;
  if (unary_number(op_type, false) != nullptr) return &Inference::unary;
  for (const auto& [name, rule] : kRules) {
    if (name == op_type) return rule;
  }
  return nullptr;
}

}  // namespace

std::optional<std::vector<double>> constant_numbers(const Value& value) {
  if (!value.is_constant || element_count(value.constant.dims) > kMostNumbers) return std::nullopt;
  if (const auto ints = constant_ints(value)) return Numbers(ints->begin(), ints->end());
  if (const auto floats = constant_floats(value)) return Numbers(floats->begin(), floats->end());
  const bool flags = value.constant.type == ElementType::kBool && value.constant.data != nullptr &&
                     static_cast<int64_t>(value.constant.bytes) == element_count(value.constant.dims);
  if (!flags) return std::nullopt;
  const auto* bytes = static_cast<const uint8_t*>(value.constant.data);
  return Numbers(bytes, bytes + value.constant.bytes);
}

std::vector<KnownTensor> infer(const Node& node, const std::vector<KnownTensor>& inputs, bool integers) {
  return Inference(node, inputs, integers).run();
}

}  // namespace sparsecpu
