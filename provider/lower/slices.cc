#include "lower/slices.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/memory.h"
#include "lower/arithmetic.h"
#include "lower/plan_program.h"
#include "pack/speeds.h"

namespace sparsecpu {
namespace {

// The stages [0, end) image by image, the others on the whole batch.
struct Slicing {
  size_t end = 0;
  int64_t images = 0;  // in a slice
};

class RegionPlanner {
 public:
  RegionPlanner(const OpGraph& graph, const std::vector<Stage>& stages, const KernelTable& kernels, int workers,
                const std::vector<Shape>& input_shapes, const std::vector<int>& outputs)
      : graph_(graph), stages_(stages), kernels_(kernels), workers_(workers), outputs_(outputs) {
    for (size_t i = 0; i < graph.inputs.size(); ++i) ports_[graph.inputs[i]] = {Port::Kind::kInput, i, 0, 0};
    shapes_ = shapes_of(input_shapes, stages.size());
  }

  std::shared_ptr<const Plan> plan() {
    plan_ = std::make_shared<Plan>();
    for (int input : graph_.inputs) plan_->input_shapes.push_back(shapes_[static_cast<size_t>(input)]);
    plan_->workers = workers_;
    for (int output : outputs_) plan_->output_shapes.push_back(shapes_[static_cast<size_t>(output)]);
    plan_->multiply_adds = multiply_adds(graph_, shapes_);
    const Slicing slicing = choose_slicing();
    if (slicing.end > 0) {
      const int64_t images = batch();
      add_pass(0, slicing.end, images / slicing.images, shapes_of(sliced_inputs(slicing.images), slicing.end));
    }
    if (slicing.end < stages_.size() || stages_.empty()) add_pass(slicing.end, stages_.size(), 1, shapes_);
    plan_->arena_bytes += plan_->between_bytes;
    return plan_;
  }

 private:
  // Images of the region's inputs; 0 if they have none in common.
  int64_t batch() const {
    int64_t images = 0;
    for (int input : graph_.inputs) {
      const Shape& shape = shapes_[static_cast<size_t>(input)];
      if (shape.empty() || (images != 0 && shape[0] != images)) return 0;
      images = shape[0];
    }
    return images;
  }

  std::vector<Shape> sliced_inputs(int64_t images) const {
    std::vector<Shape> inputs;
    for (int input : graph_.inputs) {
      inputs.push_back(shapes_[static_cast<size_t>(input)]);
      inputs.back()[0] = images;
    }
    return inputs;
  }

  // Of the values that the first stages compute.
  std::vector<Shape> shapes_of(const std::vector<Shape>& inputs, size_t end) const {
    return value_shapes(graph_, ops_of(stages_, 0, end), inputs);
  }

  // No op of the first stages reads what a later one makes: an activation that comes before a Reshape here, but behind
  // it in the graph, is cut off from its shape where the Reshape is in another pass.
  bool is_closed(size_t end) const {
    std::set<int> later;
    for (int index : ops_of(stages_, end, stages_.size())) later.insert(graph_.ops[static_cast<size_t>(index)].output);
    const std::vector<int> first = ops_of(stages_, 0, end);
    return std::none_of(first.begin(), first.end(), [&](int index) {
      const std::vector<int>& inputs = graph_.ops[static_cast<size_t>(index)].inputs;
      return std::any_of(inputs.begin(), inputs.end(), [&](int input) { return later.count(input) > 0; });
    });
  }

  // No constant of theirs holds something for each image.
  bool keeps_images_apart(const Stage& stage) const {
    return std::all_of(stage.op_indices.begin(), stage.op_indices.end(), [&](int index) {
      const Op& op = graph_.ops[static_cast<size_t>(index)];
      const Shape& out = shapes_[static_cast<size_t>(op.output)];
      const bool constants = std::all_of(op.inputs.begin(), op.inputs.end(), [&](int input) {
        const OpValue& value = graph_.values[static_cast<size_t>(input)];
        return value.constant.empty() || value.dims.size() < out.size() || value.dims[0] == 1;
      });
      // The first axis of an operand of a lower rank is another one: it has no images.
      const bool operands = std::all_of(op.inputs.begin(), op.inputs.end(), [&](int input) {
        return shapes_[static_cast<size_t>(input)].size() == out.size() || op.inputs.size() == 1;
      });
      return constants && operands && !out.empty() && out[0] == batch() && op.keeps_images_apart();
    });
  }

  // Slices of few images: their tensors stay in the core's cache, and no thread waits for another. But small images
  // may leave lanes unused that several together would fill, and each thread wants as many slices as the others.
  Slicing choose_slicing() const {
    const int64_t images = batch();
    if (images < 2) return {};
    size_t end = 0;
    while (end < stages_.size() && keeps_images_apart(stages_[end])) ++end;
    while (!is_closed(end)) --end;
    for (int64_t slice = 1; slice < images; slice *= 2) {
      const int64_t slices = images / slice, rounds = ceil_div(slices, workers_);
      if (images % slice != 0 || slices < 2) continue;
      const double idle = static_cast<double>(rounds * workers_) / static_cast<double>(slices);
      const double unused = work(end, slice) * static_cast<double>(slices) / work(end, images);
      if (idle <= kMostIdle && unused <= kMostUnused && scales(end, slice)) return {end, slice};
    }
    return {};
  }

  // Every value's shape with so many images is that of the batch but for the number.
  bool scales(size_t end, int64_t images) const {
    std::vector<Shape> sliced = shapes_of(sliced_inputs(images), end);
    return std::all_of(stages_.begin(), stages_.begin() + static_cast<int64_t>(end), [&](const Stage& stage) {
      Shape& shape = sliced[static_cast<size_t>(stage.op.output)];
      if (shape.empty() || shape[0] != images) return false;
      shape[0] = batch();
      return shape == shapes_[static_cast<size_t>(stage.op.output)];
    });
  }

  // Multiplications of vectors by the stages [0, end) if weights were dense.
  double work(size_t end, int64_t images) const {
    double sum = 1;
    for (size_t s = 0; s < end; ++s) {
      const std::optional<LinearShape> linear = stages_[s].op.layer();
      if (!linear) continue;
      const Shape& out = shapes_[static_cast<size_t>(stages_[s].op.output)];
      const auto [h, w] = image_size(out);
      const Geometry g = choose_geometry(images, h, w);
      const int64_t inputs = linear->in_channels / linear->groups * linear->taps;
      sum += static_cast<double>(inputs) * static_cast<double>(linear->out_channels * g.groups() * g.positions());
    }
    return sum;
  }

  // What a pass hands on: the region's outputs, and what later stages read.
  std::vector<int> results_of(size_t begin, size_t end) const {
    std::set<int> made, results;
    for (size_t s = begin; s < end; ++s) made.insert(stages_[s].op.output);
    for (int output : outputs_) {
      if (made.count(output) > 0) results.insert(output);
    }
    for (size_t s = end; s < stages_.size(); ++s) {
      for (int input : stages_[s].op.inputs) {
        if (made.count(input) > 0) results.insert(input);
      }
      if (made.count(stages_[s].residual) > 0) results.insert(stages_[s].residual);
    }
    return {results.begin(), results.end()};
  }

  int64_t bytes_of(int value, const std::vector<Shape>& shapes) const {
    const ElementType type = graph_.values[static_cast<size_t>(value)].type;
    const int64_t element = type == ElementType::kFloat || type == ElementType::kInt32 ? 4 : 1;
    return checked_mul(elements_of(shapes[static_cast<size_t>(value)]), element);
  }

  Port place_result(int value) {
    const auto output = std::find(outputs_.begin(), outputs_.end(), value);
    if (output != outputs_.end()) {
      return {Port::Kind::kOutput, static_cast<size_t>(output - outputs_.begin()), 0, 0};
    }
    const Port port{Port::Kind::kBetween, 0, static_cast<int64_t>(plan_->between_bytes), 0};
    plan_->between_bytes += static_cast<size_t>(round_up(bytes_of(value, shapes_), kCacheLine));
    return port;
  }

  void add_pass(size_t begin, size_t end, int64_t slices, const std::vector<Shape>& shapes) {
    Pass pass;
    pass.slices = slices;
    Part part{begin, end, {}, {}, results_of(begin, end)};
    for (const auto& [value, port] : ports_) {
      part.inputs.push_back(value);
      part.input_shapes.push_back(shapes[static_cast<size_t>(value)]);
    }
    for (int value : part.outputs) ports_[value] = place_result(value);
    const auto port_of = [&](int value) {
      Port port = ports_.at(value);
      port.slice_bytes = bytes_of(value, shapes);
      return port;
    };
    for (int value : part.inputs) pass.inputs.push_back(port_of(value));
    for (int value : part.outputs) pass.outputs.push_back(port_of(value));
    const int threads = slices > 1 ? 1 : workers_;
    pass.program = plan_program(graph_, stages_, kernels_, threads, part);
    const size_t arenas = slices > 1 ? static_cast<size_t>(workers_) : 1;
    plan_->arena_bytes = std::max(plan_->arena_bytes, arenas * pass.program->arena_bytes);
    plan_->passes.push_back(std::move(pass));
  }

  const OpGraph& graph_;
  const std::vector<Stage>& stages_;
  const KernelTable& kernels_;
  const int workers_;
  const std::vector<int>& outputs_;
  std::vector<Shape> shapes_;  // of every value
  std::map<int, Port> ports_;  // of values outside the passes
  std::shared_ptr<Plan> plan_;
};

}  // namespace

std::shared_ptr<const Plan> plan_region(const OpGraph& graph, const std::vector<Stage>& stages,
                                        const KernelTable& kernels, int workers, const std::vector<Shape>& input_shapes,
                                        const std::vector<int>& outputs) {
  return RegionPlanner(graph, stages, kernels, workers, input_shapes, outputs).plan();
}

}  // namespace sparsecpu
