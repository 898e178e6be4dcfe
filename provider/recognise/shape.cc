// Pad, Resize, Concat, Split, Slice: they move pixels or channels.
#include <algorithm>

#include "facts/constants.h"
#include "recognise/recognisers.h"

namespace sparsecpu {
namespace {

// A list that is an attribute in old opsets and a constant input in newer ones.
Check read_list(const RecogniseContext& context, const Node& node, size_t input, const char* key,
                std::vector<int64_t>* list) {
  *list = node.attribute(key, std::vector<int64_t>{});
  const Value* value = context.input(node, input);
  if (value == nullptr) return {};
  const auto ints = constant_ints(*value);
  if (!ints)
    return decline(std::string("its ") + key + (std::string(key) == "shape" ? " is" : " are") +
                   " not made of constant integers");
  *list = *ints;
  return {};
}

// Axes given for some of `rank` axes; empty: all of them. False if malformed.
bool normalise_axes(int rank, std::vector<int64_t>* axes) {
  if (axes->empty()) {
    for (int i = 0; i < rank; ++i) axes->push_back(i);
  }
  std::vector<bool> seen(std::max(rank, 0), false);
  for (int64_t& axis : *axes) {
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank || seen[axis]) return false;
    seen[axis] = true;
  }
  return true;
}

// Whether `axis` is the channel of value x, and under which axes.
std::optional<Axes> channel_axes(const RecogniseContext& context, int x, int rank, int64_t axis) {
  if (axis < 0) axis += rank;
  const std::optional<Axes> have = context.facts[x].axes;
  if (rank == 2 && axis == 1) return have.value_or(Axes::kTokens);
  if (rank > 2 && axis == rank - 1 && have != Axes::kImage) return Axes::kTokens;
  if (rank > 2 && rank <= 4 && axis == 1 && have != Axes::kTokens) return Axes::kImage;
  return std::nullopt;
}

// Index of an image axis (2.. of rank 3 or 4) in an (h, w) pair.
int pixel_axis(int rank, int64_t axis) { return static_cast<int>(axis) - rank + 2; }

bool read_enum(const std::string& text, std::initializer_list<const char*> names, int* index) {
  const auto found = std::find(names.begin(), names.end(), text);
  *index = static_cast<int>(found - names.begin());
  return found != names.end();
}

Check read_scales(const RecogniseContext& context, const Node& node, int rank, const std::vector<int64_t>& axes,
                  Resize* resize) {
  const auto scales = constant_floats(context.value(node.inputs[2]));
  if (!scales) return decline("its scales are not constant");
  if (scales->size() != axes.size()) return decline("its scales do not fit its axes");
  for (size_t i = 0; i < axes.size(); ++i) {
    const float scale = (*scales)[i];
    if (!(scale > 0.0f && scale < 1e6f)) return decline("a scale is out of range");
    if (axes[i] >= 2)
      resize->scale[pixel_axis(rank, axes[i])] = scale;
    else if (scale != 1.0f)
      return decline("it resizes batch or channels");
  }
  return {};
}

Check read_sizes(const RecogniseContext& context, const Node& node, int rank, const std::vector<int64_t>& axes,
                 Resize* resize) {
  const auto sizes = constant_ints(context.value(node.inputs[3]));
  if (!sizes) return decline("its sizes are not constant");
  if (sizes->size() != axes.size()) return decline("its sizes do not fit its axes");
  for (size_t i = 0; i < axes.size(); ++i) {
    if ((*sizes)[i] < 1) return decline("a size is not positive");
    if (axes[i] >= 2)
      resize->sizes[pixel_axis(rank, axes[i])] = (*sizes)[i];
    else if ((*sizes)[i] != context.proven_dim(node.inputs[0], static_cast<int>(axes[i])))
      return decline("it may resize batch or channels");
  }
  return {};
}

// sizes: of the outputs; none: equal ones.
Meaning split_outputs(const Node& node, int x, Axes axes, const std::vector<int64_t>& sizes) {
  Ops result;
  const auto parts = static_cast<int64_t>(node.outputs.size());
  int64_t begin = 0;
  for (int64_t i = 0; i < parts; ++i) {
    const int output = node.outputs[static_cast<size_t>(i)];
    Split split{axes, 0, 0, i, parts};
    if (!sizes.empty()) split = {axes, begin, begin + sizes[static_cast<size_t>(i)], 0, 0};
    if (output >= 0) result.push_back(Op{split, {x}, output, -1, ""});
    begin = split.end;
  }
  if (result.empty()) return decline("none of its outputs is used");
  return result;
}

}  // namespace

Meaning recognise_pad(const RecogniseContext& context, const Node& node) {
  if (node.attribute("mode", "constant") != "constant") return decline("only mode constant is supported");
  const int x = node.inputs[0], rank = context.rank(x);
  if (rank != 3 && rank != 4) return decline("its input has to have rank 3 or 4");
  std::vector<int64_t> pads, axes;
  Check ok = read_list(context, node, 1, "pads", &pads);
  if (ok) ok = read_list(context, node, 3, "axes", &axes);
  if (!ok) return ok.reason();
  if (!normalise_axes(rank, &axes) || pads.size() != 2 * axes.size()) return decline("its pads do not fit its axes");
  Pad pad;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t before = pads[i], after = pads[i + axes.size()];
    if (std::max(std::abs(before), std::abs(after)) > (1 << 20)) return decline("its pads are out of range");
    if (axes[i] >= 2) {
      pad.pads[pixel_axis(rank, axes[i])] = before;
      pad.pads[pixel_axis(rank, axes[i]) + 2] = after;
    } else if (before != 0 || after != 0) {
      return decline("it pads batch or channels");
    }
  }
  pad.value = node.attribute("value", 0.0f);
  if (const Value* value = context.input(node, 2)) {
    const auto fill = constant_number(*value);
    if (!fill) return decline("its fill value is not a constant float32, uint8 or int8 number");
    pad.value = *fill;
  }
  return accept(pad, {x}, node.outputs[0]);
}

Meaning recognise_resize(const RecogniseContext& context, const Node& node) {
  if (node.attribute("mode", "nearest") != "nearest") return decline("only mode nearest is supported");
  if (node.attribute("antialias", int64_t{0}) != 0) return decline("antialias is not supported");
  Resize resize;
  int index = 0;
  if (!read_enum(node.attribute("coordinate_transformation_mode", "half_pixel"),
                 {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"}, &index)) {
    return decline("its coordinate_transformation_mode is not supported");
  }
  resize.coordinate = static_cast<Resize::Coordinate>(index);
  if (!read_enum(node.attribute("nearest_mode", "round_prefer_floor"),
                 {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}, &index)) {
    return decline("its nearest_mode is not supported");
  }
  resize.nearest = static_cast<Resize::Nearest>(index);
  resize.wide_ties = context.graph.ort_minor >= 28;
  if (node.attribute("keep_aspect_ratio_policy", "stretch") != "stretch") return decline("it keeps the aspect ratio");
  const int x = node.inputs[0], rank = context.rank(x);
  if (rank != 3 && rank != 4) return decline("its input has to have rank 3 or 4");
  std::vector<int64_t> axes = node.attribute("axes", std::vector<int64_t>{});
  // onnxruntime counts them from the front only.
  if (std::any_of(axes.begin(), axes.end(), [](int64_t axis) { return axis < 0; }))
    return decline("an axis is negative");
  if (!normalise_axes(rank, &axes)) return decline("its axes are malformed");
  const auto is_given = [&](size_t input) {
    const Value* value = context.input(node, input);
    return value != nullptr && !(value->is_constant && value->constant.bytes == 0);
  };
  const bool by_scale = is_given(2);
  if (by_scale == is_given(3)) return decline("it has both scales and sizes, or neither");
  const Check ok =
      by_scale ? read_scales(context, node, rank, axes, &resize) : read_sizes(context, node, rank, axes, &resize);
  if (!ok) return ok.reason();
  return accept(resize, {x}, node.outputs[0]);
}

Meaning recognise_concat(const RecogniseContext& context, const Node& node) {
  std::optional<Axes> axes;
  for (int x : node.inputs) {
    if (x < 0 || context.value(x).is_constant) return decline("one of its inputs is a constant or missing");
    if (context.value(x).type != context.value(node.inputs[0]).type) return decline("its inputs have different types");
    const std::optional<Axes> here = channel_axes(context, x, context.rank(x), node.attribute("axis", int64_t{1}));
    if (!here || (axes && context.rank(x) > 2 && *here != *axes)) return decline("it does not join channels");
    if (!axes) axes = here;
  }
  if (!axes) return decline("it has no input");
  return accept(Concat{*axes}, node.inputs.all(), node.outputs[0]);
}

Meaning recognise_split(const RecogniseContext& context, const Node& node) {
  const int x = node.inputs[0], rank = context.rank(x);
  if (rank < 0) return decline("the rank of its input is unknown");
  int64_t axis = node.attribute("axis", int64_t{0});
  const std::optional<Axes> axes = channel_axes(context, x, rank, axis);
  if (!axes) return decline("it does not split channels");
  axis += axis < 0 ? rank : 0;
  const int64_t channels = context.static_dim(x, static_cast<int>(axis));
  if (channels < 0) return decline("its channel count is unknown");
  const int64_t parts = static_cast<int64_t>(node.outputs.size());
  std::vector<int64_t> sizes;
  if (Check ok = read_list(context, node, 1, "split", &sizes); !ok) return ok.reason();
  if (sizes.empty()) {
    if (node.since_version < 18 && channels % parts != 0) return decline("its channels do not split evenly");
    return split_outputs(node, x, *axes, {});
  }
  int64_t sum = 0;
  for (int64_t s : sizes) {
    if (s < 0 || s > channels) return decline("its split sizes are malformed");
    sum += s;
  }
  if (static_cast<int64_t>(sizes.size()) != parts || sum != channels) return decline("its split sizes do not add up");
  return split_outputs(node, x, *axes, sizes);
}

Meaning recognise_slice(const RecogniseContext& context, const Node& node) {
  const int x = node.inputs[0], rank = context.rank(x);
  if (rank < 0) return decline("the rank of its input is unknown");
  std::vector<int64_t> starts, ends, axes, steps;
  Check ok = read_list(context, node, 1, "starts", &starts);
  if (ok) ok = read_list(context, node, 2, "ends", &ends);
  if (ok) ok = read_list(context, node, 3, "axes", &axes);
  if (ok) ok = read_list(context, node, 4, "steps", &steps);
  if (!ok) return ok.reason();
  if (starts.size() != 1 || ends.size() != 1 || axes.size() > 1) return decline("it slices several axes");
  if (!steps.empty() && (steps.size() != 1 || steps[0] != 1)) return decline("its step is not 1");
  int64_t axis = axes.empty() ? 0 : axes[0];
  const std::optional<Axes> over = channel_axes(context, x, rank, axis);
  if (!over) return decline("it does not slice channels");
  axis += axis < 0 ? rank : 0;
  const int64_t channels = context.static_dim(x, static_cast<int>(axis));
  if (channels < 0) return decline("its channel count is unknown");
  const auto resolve = [channels](int64_t bound) {
    return std::clamp<int64_t>(bound < 0 ? std::max(bound, -channels) + channels : bound, 0, channels);
  };
  const int64_t begin = resolve(starts[0]), end = resolve(ends[0]);
  if (begin >= end) return decline("its slice is empty");
  return accept(Split{*over, starts[0], ends[0], 0, 0}, {x}, node.outputs[0]);
}

Meaning recognise_reshape(const RecogniseContext& context, const Node& node) {
  Reshape reshape;
  const int x = node.inputs[0];
  const bool takes_axes = node.op == "Squeeze" || node.op == "Unsqueeze";
  if (node.op == "Flatten") {
    reshape.kind = Reshape::Kind::kFlatten;
    reshape.axis = node.attribute("axis", int64_t{1});
    return accept(reshape, {x}, node.outputs[0]);
  }
  if (Check ok = read_list(context, node, 1, takes_axes ? "axes" : "shape", &reshape.target); !ok) {
    return ok.reason();
  }
  if (takes_axes) {
    reshape.kind = node.op == "Squeeze" ? Reshape::Kind::kSqueeze : Reshape::Kind::kUnsqueeze;
    if (reshape.target.empty()) return decline("it names no axes");
  } else {
    if (!context.has_input(node, 1) && node.since_version >= 5) return decline("it has no target shape");
    reshape.allow_zero = node.attribute("allowzero", int64_t{0}) == 1;  // as onnxruntime reads it
    if (std::count(reshape.target.begin(), reshape.target.end(), -1) > 1)
      return decline("its target shape has several -1");
  }
  return accept(std::move(reshape), {x}, node.outputs[0]);
}

}  // namespace sparsecpu
