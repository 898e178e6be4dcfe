#include "recognise/qdq.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "facts/constants.h"
#include "recognise/bytes.h"
#include "recognise/conv.h"
#include "recognise/ort_forms.h"
#include "recognise/quantized.h"
#include "recognise/recognisers.h"
#include "recognise/units.h"

namespace sparsecpu {
namespace {

constexpr const char* kFloatForm = " (float in onnxruntime)";

class UnitReader {
 public:
  UnitReader(const RecogniseContext& context, Unit unit)
      : context_(context), graph_(context.graph), unit_(std::move(unit)), node_(graph_.nodes[unit_.main]) {
    const int after = node_.outputs.size() == 1 ? sole_consumer(graph_, node_.outputs[0]) : -1;
    if (unit_.place != unit_.main) {
      quantizer_ = &graph_.nodes[unit_.place];
      if (after != unit_.place) activation_ = &graph_.nodes[after];
    }
  }

  Match run() {
    Meaning meaning = read();
    std::string pattern = "qdq " + lower_case(node_.op) + (meaning && !exact_ ? kFloatForm : "");
    return {unit_, std::move(pattern), std::move(meaning)};
  }

 private:
  Meaning read() {
    Check ok = read_inputs();
    if (ok && quantizer_ != nullptr) ok = read_output();
    if (ok && activation_ != nullptr) ok = read_activation();
    if (!ok) return ok.reason();
    return is_linear() ? linear() : between_bytes();
  }

  static std::string lower_case(std::string text) {
    for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    return text;
  }

  const Node* dequantizer(size_t input) const {
    const int value = input < node_.inputs.size() ? node_.inputs[input] : -1;
    const Node* producer = producer_of(graph_, value);
    if (producer == nullptr || producer->op != "DequantizeLinear") return nullptr;
    const int index = graph_.values[value].producer;
    return std::find(unit_.nodes.begin(), unit_.nodes.end(), index) != unit_.nodes.end() ? producer : nullptr;
  }

  bool is_linear() const { return node_.op == "Conv" || node_.op == "MatMul" || node_.op == "Gemm"; }

  // Quantizations of the activations; the first input of a linear operator, all inputs of others.
  Check read_inputs() {
    bytes_ = node_;
    const size_t count = is_linear() ? 1 : node_.inputs.size();
    for (size_t i = 0; i < count; ++i) {
      const Node* dq = dequantizer(i);
      if (dq == nullptr) continue;
      if (dq->attribute("block_size", int64_t{0}) != 0) return decline("its activations have a scale per block");
      Quantization& x = x_.emplace_back();
      if (Check ok = read_quantization(context_, *dq, 1, &x); !ok) return ok;
      const ElementType type = context_.value(dq->inputs[0]).type;
      if (type != (x.is_signed ? ElementType::kInt8 : ElementType::kUint8)) {
        return decline("its activations are " + std::string(element_type_name(type)) +
                       "; uint8 and int8 are supported");
      }
      bytes_.inputs.set(i, dq->inputs[0]);
    }
    if (is_linear() && context_.value(bytes_.inputs[0]).is_constant) return decline("its first input is a constant");
    if (x_.empty()) return decline("its activations are not quantized");
    return {};
  }

  Check read_output() {
    if (quantizer_->attribute("block_size", int64_t{0}) != 0) return decline("its output has a scale per block");
    if (Check ok = read_quantization(context_, *quantizer_, 1, &y_); !ok) return ok;
    bytes_.outputs = {quantizer_->outputs[0]};
    const ElementType type = context_.value(quantizer_->outputs[0]).type;
    if (is_byte(type)) return {};
    return decline("its output is " + std::string(element_type_name(type)) + "; uint8 and int8 are supported");
  }

  // A Relu or Clip as limits on y, and whether onnxruntime drops it. Rounding is monotone: limiting the
  // quantized value equals quantizing the limited one.
  Check read_activation() {
    low_ = y_.lowest();
    high_ = y_.highest();
    if (activation_->op == "Relu") {
      low_ = y_.zero_point;
      redundant_ = y_.zero_point == y_.lowest();
      return {};
    }
    const Meaning clip = recognise_activation(context_, *activation_);
    if (!clip) return clip.reason();
    const Unary& bounds = std::get<Unary>(clip->front().data);
    // As onnxruntime decides: with bounds rounded in double, unlimited.
    const double low = std::rint(static_cast<double>(bounds.a / y_.scale)) + y_.zero_point;
    const double high = std::rint(static_cast<double>(bounds.b / y_.scale)) + y_.zero_point;
    redundant_ = low <= y_.lowest() && high >= y_.highest();
    const auto limit = [&](float bound) {
      const uint8_t q = quantize_one(bound, y_);
      return y_.is_signed ? static_cast<int32_t>(static_cast<int8_t>(q)) : static_cast<int32_t>(q);
    };
    low_ = limit(bounds.a);
    high_ = limit(bounds.b);
    if (low_ > high_) return decline("the bounds of its Clip are in the wrong order");
    return {};
  }

  bool integer_form(UnitOperator op, bool w_signed, bool float_bias) const {
    return onnxruntime_is_integer({op, x_[0].is_signed, w_signed, float_bias, quantizer_ != nullptr, y_.is_signed,
                                   activation_ != nullptr, redundant_});
  }

  Check read_weights(bool columns, QuantizedWeight* weight) const {
    const Node* dq = dequantizer(1);
    if (dq == nullptr) return decline("its weights are not quantized");
    if (!context_.value(dq->inputs[0]).is_constant) {
      const Node* made_by = producer_of(graph_, dq->inputs[0]);
      return decline(made_by != nullptr && made_by->op == "QuantizeLinear" &&
                             context_.value(made_by->inputs[0]).is_constant
                         ? "its weights are quantized at run time: constant folding is off"
                         : "its weights '" + context_.value(dq->inputs[0]).name + "' are not constant");
    }
    if (dq->attribute("block_size", int64_t{0}) != 0) {
      return decline("its weights have a scale per block; one in all or one a channel is supported");
    }
    if (Check ok = read_weight(context_.input(*dq, 0), context_.input(*dq, 1), context_.input(*dq, 2), columns, weight);
        !ok) {
      return ok;
    }
    int64_t axis = dq->attribute("axis", int64_t{1});
    axis += axis < 0 ? static_cast<int64_t>(context_.value(dq->inputs[0]).constant.dims.size()) : 0;
    if (weight->scale.size() > 1 && axis != (columns ? 1 : 0))
      return decline("the scales of its weights are not per output channel");
    return {};
  }

  // The bias as int32 in units of x_scale * w_scale, and as the float that it stands for.
  Check read_bias(const QuantizedWeight& weight, QuantizedLinear* linear) {
    const Value* bias = context_.input(node_, 2);
    if (bias == nullptr) return {};
    const int64_t rows = linear->out_channels;
    const int rank = node_.op == "Conv" ? 1 : 2;  // Gemm's C is broadcast
    const std::vector<float> unit = multipliers(x_[0].scale, weight.scale, nullptr, rows);
    const Node* dq = dequantizer(2);
    if (dq != nullptr && !is_byte(context_.value(dq->inputs[0]).type)) {
      if (Check ok = read_int_bias(context_.value(dq->inputs[0]), rank, rank - 1, rows, &linear->bias); !ok) return ok;
      // onnxruntime's integer form does not look at the bias's scale, which should be x_scale * w_scale.
      const Value& scales = context_.value(dq->inputs[1]);
      const auto scale = constant_floats(scales);
      if (!scale) return decline("the scale of its bias is not a constant");
      if (Check ok = check_vector(scales.constant.dims, 1, 0, rows); !ok)
        return decline("the scale of its bias of " + ok.why());
      for (int64_t r = 0; r < rows; ++r) {
        const float own = (*scale)[scale->size() == 1 ? 0 : r];
        if (std::fabs(own - unit[r]) > 1e-4f * unit[r])
          return decline("the scale of its bias is not x_scale * w_scale");
      }
      return {};
    }
    const auto floats = constant_floats(*bias);
    if (!floats) return decline("its bias cannot be used: " + floats.why());
    if (Check ok = check_vector(bias->constant.dims, rank, rank - 1, rows); !ok)
      return decline("its bias of " + ok.why());
    float_bias_ = *floats;
    float_bias_.resize(rows, floats->front());
    return {};
  }

  Check set_geometry(QuantizedLinear* linear, QuantizedWeight* weight) {
    const bool rows_first = node_.op == "Conv" || node_.attribute("transB", int64_t{0}) != 0;
    if (Check ok = read_weights(!rows_first, weight); !ok) return ok;
    linear->weight = weight->view;
    if (node_.op == "Conv") {
      ConvGeometry geometry;
      const Node* dq = dequantizer(1);
      const auto& dims = context_.value(dq->inputs[0]).constant.dims;
      if (Check ok = read_conv_geometry(context_, node_, bytes_.inputs[0], dims, &geometry); !ok) return ok;
      set_conv_geometry(geometry, linear);
      return {};
    }
    if (weight->view.taps != 1) return decline("its weights have more than two axes");
    if (node_.attribute("alpha", 1.0f) != 1.0f || node_.attribute("beta", 1.0f) != 1.0f) {
      return decline("alpha or beta is not 1");
    }
    return set_token_geometry(context_, node_, bytes_.inputs[0], linear);
  }

  Meaning linear() {
    QuantizedLinear linear;
    QuantizedWeight weight;
    linear.x = x_[0];
    Check ok = set_geometry(&linear, &weight);
    if (ok) ok = read_bias(weight, &linear);
    if (!ok) return ok.reason();
    const UnitOperator op = node_.op == "Conv"     ? UnitOperator::kConv
                            : node_.op == "MatMul" ? UnitOperator::kMatMul
                                                   : UnitOperator::kGemm;
    exact_ = integer_form(op, weight.view.is_signed, !float_bias_.empty());
    const int64_t rows = linear.out_channels;
    if (quantizer_ == nullptr) {
      linear.output = QuantizedLinear::Output::kFloat;
      linear.multiplier = multipliers(x_[0].scale, weight.scale, nullptr, rows);
      linear.float_bias = std::move(float_bias_);
    } else {
      const std::vector<float> unit = multipliers(x_[0].scale, weight.scale, nullptr, rows);
      for (size_t r = 0; r < float_bias_.size(); ++r) {
        const double q = std::nearbyint(static_cast<double>(float_bias_[r] / unit[r]));
        if (!(std::fabs(q) < std::numeric_limits<int32_t>::max()))
          return decline("its bias of " + std::to_string(float_bias_[r]) + " is too many steps of x_scale * w_scale");
        linear.bias.push_back(static_cast<int32_t>(q));
      }
      linear.y = y_;
      linear.multiplier = multipliers(x_[0].scale, weight.scale, &y_.scale, rows);
      if (activation_ != nullptr) {
        linear.clamp_low = low_;
        linear.clamp_high = high_;
      }
    }
    const int output = quantizer_ == nullptr ? node_.outputs[0] : quantizer_->outputs[0];
    return accept(std::move(linear), {bytes_.inputs[0]}, output);
  }

  Meaning between_bytes() {
    const std::string& type = node_.op;
    const bool many = type == "Add" || type == "Mul" || type == "Concat";
    if (many && (x_.size() != node_.inputs.size() || (type != "Concat" && x_.size() != 2)))
      return decline("not all its inputs are quantized");
    for (const Quantization& x : x_) {
      if (x.is_signed != y_.is_signed) return decline("it joins uint8 and int8");
    }
    exact_ = integer_form(UnitOperator::kElementwise, true, false);
    if (activation_ != nullptr && type != "Add") return decline("an activation follows it before QuantizeLinear");
    if (type == "Concat") return recognise_quantized_concat(context_, bytes_, x_, y_);
    if (many) {
      const bool limited = activation_ != nullptr;
      return recognise_quantized_binary(context_, bytes_, x_[0], x_[1], y_, limited ? low_ : y_.lowest(),
                                        limited ? high_ : y_.highest());
    }
    if (type == "AveragePool" || type == "GlobalAveragePool") {
      return recognise_quantized_average(context_, bytes_, x_[0], y_);
    }
    if (type == "MaxPool" || type == "Resize" || type == "Flatten" || type == "Reshape" || type == "Squeeze" ||
        type == "Unsqueeze") {
      return moved();
    }
    Meaning unary = recognise_activation(context_, bytes_);
    if (!unary) return unary;
    OpData& data = unary->front().data;
    data = function_table(x_[0], y_, unary_function(std::get<Unary>(data), &exact_));
    return unary;
  }

  // Operators that only move or compare values, on the bytes; then a change of scale if there is one.
  Meaning moved() {
    const std::string& type = node_.op;
    Meaning result = type == "MaxPool"  ? recognise_pool(context_, bytes_)
                     : type == "Resize" ? recognise_resize(context_, bytes_)
                                        : recognise_reshape(context_, bytes_);
    if (!result || same_quantization(x_[0], y_)) return result;
    const int output = result->front().output;
    result->front().output = ~0;
    result->push_back({function_table(x_[0], y_, [](float v) { return v; }), {~0}, output, -1, ""});
    return result;
  }

  const RecogniseContext& context_;
  const Graph& graph_;
  const Unit unit_;
  const Node& node_;
  const Node* quantizer_ = nullptr;
  const Node* activation_ = nullptr;
  Node bytes_;  // the operator with bytes in and out
  std::vector<Quantization> x_;
  Quantization y_;
  int32_t low_ = -128, high_ = 255;
  bool redundant_ = true, exact_ = true;
  std::vector<float> float_bias_;
};

}  // namespace

Match recognise_qdq(const RecogniseContext& context, Unit unit) { return UnitReader(context, std::move(unit)).run(); }

std::optional<Match> match_qdq(const RecogniseContext& context, int place) {
  std::optional<Unit> unit = qdq_unit(context.graph, place);
  return unit ? std::optional(recognise_qdq(context, std::move(*unit))) : std::nullopt;
}

}  // namespace sparsecpu
