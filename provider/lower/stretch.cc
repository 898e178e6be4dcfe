#include "lower/stretch.h"

#include <algorithm>
#include <utility>

#include "lower/parameters.h"

namespace sparsecpu {
namespace {

std::vector<float> widened(const std::vector<float>& values, int64_t channels) {
  return values.size() == 1 ? std::vector<float>(static_cast<size_t>(channels), values[0]) : values;
}

// Takes the op that reads `value`, or a function behind it, into the stretch. False: it cannot be its next operation.
struct Extension {
  Stretch& stretch;
  const Stage& next;
  int value;
  const Placement& placement;
  const std::vector<bool>& is_made;  // values: there before the layer

  bool operator()(const Dequantize& dequantize) const {
    if (!stretch.stages.empty()) return false;
    numbers().x = parameters_of(dequantize.x);
    return true;
  }
  bool operator()(const Quantize& quantize) const {
    if (stretch.stages.empty()) return false;
    numbers().quantizes = true;
    numbers().y = parameters_of(quantize.y);
    return true;
  }
  bool operator()(const Unary& unary) const {
    if (!goes_on()) return false;
    numbers().activates = true;
    numbers().kind = unary.kind;
    numbers().a = unary.a;
    numbers().b = unary.b;
    return true;
  }
  bool operator()(const Affine& affine) const {
    if (!goes_on() || !stretch.tail.scale.empty() || stretch.residual >= 0) return false;
    const int64_t channels = placement.shape(next.op.output).back();
    stretch.tail.scale = widened(affine.scale, channels);
    stretch.tail.shift = widened(affine.shift, channels);
    return true;
  }
  bool operator()(const Binary& binary) const {
    const int other = next.op.inputs[next.op.inputs[0] == value ? 1 : 0];
    const bool whole = placement.shape(other) == placement.shape(next.op.output);
    const bool adds = binary.kind == BinaryKind::kAdd && whole && is_made[static_cast<size_t>(other)];
    if (!goes_on() || !adds || stretch.residual >= 0) return false;
    stretch.residual = other;
    return true;
  }
  template <class Op>
  bool operator()(const Op&) const {
    return false;
  }

 private:
  FloatStretch& numbers() const { return stretch.tail.stretch; }
  // Its floats can be computed with.
  bool goes_on() const { return !stretch.stages.empty() && !numbers().activates; }
};

class StretchFinder {
 public:
  StretchFinder(const OpGraph& graph, const std::vector<Stage>& stages, const Part& part, const Placement& placement)
      : stages_(stages), placement_(placement), is_made_(graph.values.size()) {
    for (size_t v = 0; v < graph.values.size(); ++v) is_made_[v] = !graph.values[v].constant.empty();
    for (int input : part.inputs) is_made_[static_cast<size_t>(input)] = true;
  }

  // What is made is known when stages come in order.
  Stretch after(size_t index) {
    const Stage& stage = stages_[index];
    Stretch stretch;
    int value = stage.op.output;
    if (stage.pack && placement_.is_bytes(value) && stage.residual < 0 && !stage.sum) {
      for (int next = sole_reader(value); next >= 0 && extend(stretch, next, value); next = sole_reader(value)) {
        stretch.stages.push_back(static_cast<size_t>(next));
        value = stages_[static_cast<size_t>(next)].op.output;
      }
    }
    is_made_[static_cast<size_t>(value)] = true;
    stretch.output = value;
    return stretch;
  }

 private:
  // The stage that alone reads a value of the tokens in lanes, or kNone.
  int sole_reader(int value) const {
    const Placed& v = placement_.at(value);
    const bool tokens = v.lanes && v.axes == Axes::kTokens;
    return tokens && v.uses == 1 && v.region_output == kNone ? v.last_use : kNone;
  }

  bool extend(Stretch& stretch, int stage, int value) const {
    const Stage& next = stages_[static_cast<size_t>(stage)];
    const Placed& out = placement_.at(next.op.output);
    const bool in_lanes = out.lanes && out.axes == Axes::kTokens && out.shape == placement_.shape(value);
    if (!in_lanes || stretch.tail.stretch.quantizes) return false;
    Stretch longer = stretch;
    const Extension extension{longer, next, value, placement_, is_made_};
    const auto follows = [&](const Follower& function) { return std::visit(extension, function); };
    if (!std::visit(extension, next.op.data) || !std::ranges::all_of(next.then, follows)) return false;
    stretch = std::move(longer);
    return true;
  }

  const std::vector<Stage>& stages_;
  const Placement& placement_;
  std::vector<bool> is_made_;
};

}  // namespace

Stretches::Stretches(const OpGraph& graph, const std::vector<Stage>& stages, const Part& part,
                     const Placement& placement)
    : after_(stages.size()), computed_(stages.size()) {
  StretchFinder finder(graph, stages, part, placement);
  for (size_t s = part.begin; s < part.end; ++s) {
    if (computed_[s]) continue;
    after_[s] = finder.after(s);
    for (size_t stage : after_[s].stages) computed_[stage] = true;
  }
}

}  // namespace sparsecpu
