#include "facts/assume.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "facts/infer.h"
#include "ops/window_memory.h"

namespace sparsecpu {
namespace {

// Probe sizes are multiples of 32, as networks that halve five times and double again ask for, and larger
// than any size that is assumed, so that none becomes 1 on the way.
constexpr int64_t kProbeUnit = 32, kFirstSymbolProbe = 40, kFirstUnknownProbe = 40000;

// Operators outside the recognised ones whose output has the shape of the first input.
bool keeps_shape(const Node& node) {
  static constexpr std::array kNames{"Softplus",
                                     "Softmax",
                                     "com.microsoft.QLinearSoftmax",
                                     "com.microsoft.QLinearSigmoid",
                                     "LogSoftmax",
                                     "DynamicQuantizeLinear",
                                     "QuantizeLinear",
                                     "DequantizeLinear",
                                     "LayerNormalization",
                                     "Exp",
                                     "Log",
                                     "Abs",
                                     "Dropout",
                                     "Elu",
                                     "Selu",
                                     "Celu",
                                     "Mish",
                                     "Softsign",
                                     "InstanceNormalization",
                                     "GroupNormalization",
                                     "SimplifiedLayerNormalization",
                                     "com.microsoft.SkipLayerNormalization",
                                     "BatchNormalization",
                                     "Clip",
                                     "Relu",
                                     "PRelu",
                                     "ThresholdedRelu",
                                     "CumSum",
                                     "IsNaN",
                                     "Round",
                                     "Sign",
                                     "com.microsoft.BiasGelu"};
  return std::find(kNames.begin(), kNames.end(), node.op) != kNames.end();
}

bool is_integer(ElementType type) { return type == ElementType::kInt64 || type == ElementType::kInt32; }

// One of the three sets of sizes in ValueFacts.
struct SizeSet {
  std::optional<Shape> ValueFacts::* shape;
  std::optional<std::vector<double>> ValueFacts::* numbers;
};
constexpr SizeSet kAssumed{&ValueFacts::assumed, &ValueFacts::assumed_numbers};
constexpr SizeSet kProbe{&ValueFacts::probe, &ValueFacts::probe_numbers};
constexpr SizeSet kProof{&ValueFacts::proof, &ValueFacts::proof_numbers};

}  // namespace

AssumedShapes::AssumedShapes(const Graph& graph, const SymbolSizes& given, Table<ValueFacts>* facts,
                             const OpenSizes& sizes)
    : graph_(graph), given_(given), facts_(*facts), open_sizes_(sizes) {
  // The inputs first: a symbol is a batch, a pixel or a token count by its first place there.
  for (int input : graph.inputs) ensure(input);
}

int64_t AssumedShapes::open_size(const Value& value, size_t axis) {
  const bool batch = axis == 0, pixels = !batch && value.dims.size() == 4 && axis >= 2;
  const bool features = pixels && value.dims[1] > kImageChannels;
  (batch ? open_.batch : features ? open_.features : pixels ? open_.image : open_.tokens) = true;
  if (!pixels) return batch ? open_sizes_.batch : open_sizes_.tokens;
  const int64_t beside = value.dims[axis == 2 ? 3 : 2];
  return beside > 0 ? std::min(open_sizes_.pixels, kLongestImage * beside) : open_sizes_.pixels;
}

int64_t AssumedShapes::unknown_size() { return kProbeUnit * (kFirstUnknownProbe + unknown_++); }

std::pair<int64_t, int64_t> AssumedShapes::sizes(const Value& value, size_t axis) {
  if (value.dims[axis] >= 0) return {value.dims[axis], value.dims[axis]};
  const std::string symbol = axis < value.symbols.size() ? value.symbols[axis] : "";
  if (symbol.empty()) {
    // By the name of the value and the axis: for a person who knows what will be fed.
    const auto given = given_.find(value.name + '[' + std::to_string(axis) + ']');
    if (given != given_.end()) assumed_[given->first] = given->second;
    return {given != given_.end() ? given->second : open_size(value, axis), unknown_size()};
  }
  if (assumed_.count(symbol) == 0) {
    const auto given = given_.find(symbol);
    assumed_[symbol] = given != given_.end() && given->second > 0 ? given->second : open_size(value, axis);
    probe_[symbol] = kProbeUnit * (kFirstSymbolProbe + static_cast<int64_t>(probe_.size()));
  }
  return {assumed_[symbol], probe_[symbol]};
}

void AssumedShapes::ensure(int index) {
  if (index < 0) return;
  if (!facts_[index].probe) declare(index);
  ValueFacts& fact = facts_[index];
  if (fact.proof || !fact.probe) return;
  const Value& value = graph_.values[index];
  const bool is_checked = graph_.checks_inputs && value.producer < 0 && !value.is_outer_scope;
  fact.proof = fact.probe;
  if (is_checked) return;
  for (int64_t& size : *fact.proof) size = unknown_size();
}

// By what the file says of the value.
void AssumedShapes::declare(int index) {
  const Value& value = graph_.values[index];
  ValueFacts& fact = facts_[index];
  if (value.is_constant) {
    fact.assumed = fact.probe = fact.proof = value.constant.dims;
    fact.assumed_numbers = fact.probe_numbers = fact.proof_numbers = constant_numbers(value);
  } else if (value.has_shape) {
    fact.assumed.emplace();
    fact.probe.emplace();
    for (size_t axis = 0; axis < value.dims.size(); ++axis) {
      const auto [assumed, probe] = sizes(value, axis);
      fact.assumed->push_back(assumed);
      fact.probe->push_back(probe);
    }
  }
}

// What an op needs of its input is proven for all that comes after it.
void AssumedShapes::prove_channels(const std::vector<Op>& ops) {
  for (const Op& op : ops) {
    if (op.inputs[0] < 0 || !facts_[op.inputs[0]].proof) continue;
    Shape& x = *facts_[op.inputs[0]].proof;
    const std::optional<NeededChannels> channels = op.needed_channels();
    if (channels && x.size() > 1) x[channels->axes == Axes::kImage ? 1 : x.size() - 1] = channels->count;
  }
}

// Shapes of one node's Ops, into the facts of its outputs. Returns the first misfit with assumed sizes or probes, save
// where inputs depend on a symbol: sizes that were only assumed may be ones that the model never sees. A window that
// takes memory out of proportion does so at other sizes, too.
Check AssumedShapes::run_ops(const std::vector<Op>& ops) {
  bool fixed = true;
  for (const Op& op : ops) {
    for (int input : op.inputs) fixed &= input < 0 || facts_[input].assumed == facts_[input].probe;
  }
  prove_channels(ops);
  for (const SizeSet& set : {kAssumed, kProbe, kProof}) {
    std::map<int, Shape> made;
    for (const Op& op : ops) {
      std::vector<Shape> inputs;
      for (int input : op.inputs) {
        if (const auto found = made.find(input); found != made.end()) {
          inputs.push_back(found->second);
          continue;
        }
        const std::optional<Shape>& known = facts_[input].*set.shape;
        if (!known) return fixed ? Check(decline("the rank of its input is unknown")) : Check();
        inputs.push_back(*known);
      }
      try {
        made[op.output] = output_shape(op, inputs);
        const bool assumed = set.shape == kAssumed.shape;
        const Check ok = assumed ? check_window(op, inputs[0], made[op.output]) : Check();
        if (!ok) return ok;
      } catch (const Error& error) {
        const bool must_fit = fixed && set.shape != kProof.shape;  // what is not proven may fit nevertheless
        return must_fit ? Check(decline(error.what())) : Check();
      }
    }
    for (auto& [value, shape] : made) {
      if (value >= 0) facts_[value].*set.shape = std::move(shape);
    }
  }
  return {};
}

void AssumedShapes::set_axes(const std::vector<Op>& ops) {
  std::map<int, std::optional<Axes>> inside;
  for (const Op& op : ops) {
    std::optional<Axes> axes = op.own_axes();
    if (!axes && op.keeps_axes()) {
      for (int input : op.inputs) {
        if (!axes) axes = input < 0 ? inside[input] : facts_[input].axes;
      }
    }
    inside[op.output] = axes;
    if (op.output < 0) continue;
    ValueFacts& fact = facts_[op.output];
    const bool both = fact.probe && fact.probe->size() <= 2;
    fact.axes = both ? std::nullopt : axes;
  }
}

// A mask comes from operators that nothing is known of more often than not. It is believed to be no larger than the
// scores that it is added to, which attention checks again at run time.
std::optional<Shape> AssumedShapes::proof_beside_operand(const Node& node, const Shape& probe) const {
  if (node.op != "Add" && node.op != "Where") return std::nullopt;
  for (int input : node.inputs) {
    if (input >= 0 && !graph_.values[input].is_constant && facts_[input].probe == probe) return facts_[input].proof;
  }
  return std::nullopt;
}

// Operators outside the recognised ones, for all sets of sizes.
void AssumedShapes::infer_outputs(const Node& node) {
  const bool integers =
      !node.outputs.empty() && node.outputs[0] >= 0 && is_integer(graph_.values[node.outputs[0]].type);
  const auto infer_set = [&](const SizeSet& set) {
    std::vector<KnownTensor> inputs;
    for (int input : node.inputs) {
      if (input < 0) {
        inputs.emplace_back();
        continue;
      }
      const ValueFacts& fact = facts_[input];
      inputs.push_back({fact.*set.shape, fact.*set.numbers, graph_.values[input].is_constant});
    }
    return infer(node, inputs, integers);
  };
  const std::vector<KnownTensor> assumed = infer_set(kAssumed), probe = infer_set(kProbe), proof = infer_set(kProof);
  for (size_t i = 0; i < node.outputs.size() && i < probe.size(); ++i) {
    if (node.outputs[i] < 0 || !probe[i].shape || !assumed[i].shape) continue;
    ValueFacts& fact = facts_[node.outputs[i]];
    fact.assumed = assumed[i].shape;
    fact.probe = probe[i].shape;
    fact.proof = proof[i].shape;
    fact.assumed_numbers = assumed[i].numbers;
    fact.probe_numbers = probe[i].numbers;
    fact.proof_numbers = proof[i].numbers;
    if (!fact.proof) fact.proof = proof_beside_operand(node, *fact.probe);
  }
}

Check AssumedShapes::propagate(const Node& node, const std::vector<Op>& ops) {
  Check ok;
  if (!ops.empty()) {
    ok = run_ops(ops);
    set_axes(ops);
  } else if (keeps_shape(node) && !node.inputs.empty() && node.inputs[0] >= 0 && !node.outputs.empty() &&
             node.outputs[0] >= 0 && !graph_.values[node.outputs[0]].is_constant) {
    ValueFacts& fact = facts_[node.outputs[0]];
    fact = facts_[node.inputs[0]];
    for (const SizeSet& set : {kAssumed, kProbe, kProof}) (fact.*set.numbers).reset();
  } else {
    infer_outputs(node);
  }
  for (int output : node.outputs) {
    if (output >= 0 && (!facts_[output].assumed || !facts_[output].probe)) {
      facts_[output].assumed.reset();
      facts_[output].probe.reset();
    }
    ensure(output);
  }
  return ok;
}

}  // namespace sparsecpu
