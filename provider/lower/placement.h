// Where each value of a Program lives: its shape, its form (row-major or lane-blocked, with which blocks), the halo
// that its consumers want around it, and the tensors made of it so far.
#pragma once
#include <limits>
#include <optional>
#include <vector>

#include "lower/blocks.h"
#include "lower/stage.h"
#include "run/lane_tensor.h"

namespace sparsecpu {

// Stages [begin, end), from `inputs` of these shapes to `outputs` (values): the Program's inputs and outputs.
struct Part {
  size_t begin = 0, end = 0;
  std::vector<int> inputs;
  std::vector<Shape> input_shapes;
  std::vector<int> outputs;
};

constexpr int kNone = -1;

// A value's lane-blocked tensor. fill: what its positions and lanes without a pixel hold, if that is known.
struct Version {
  LaneTensor tensor;
  Axes axes = Axes::kImage;
  std::optional<FillBits> fill;
};

struct Placed {
  Shape shape;
  bool lanes = false;  // home form
  Axes axes = Axes::kImage;
  Geometry blocks;             // home geometry without a halo
  std::optional<Extent> halo;  // what consumers read in place
  FillBits fill = 0;           // there
  ElementType type = ElementType::kFloat;
  int uses = 0;       // by stages
  int last_use = -1;  // stage index
  int region_output = kNone;
  std::optional<TensorRef> dense;         // row-major
  std::optional<TensorRef> quantization;  // DynamicQuantize: scale and zero point of this run
  bool shared = false;                    // a Reshape gave its memory a second name
  std::vector<Version> versions;          // lane-blocked, home first

  bool is_bytes() const { return sparsecpu::is_bytes(type); }
  int64_t channels(Axes of) const { return channel_count(shape, of); }
  int64_t vectors(Axes of) const;  // of a position
  Geometry home_geometry() const;
  // Nothing reads it after this stage.
  bool dies_at(int stage) const { return last_use == stage && region_output == kNone && !shared; }

  // With `border`, positions and lanes outside the image must hold it; without, they do not matter.
  const Version* find_version(Axes of, const Geometry& need, std::optional<FillBits> border) const;
  const Version* complete_version(Axes of) const;  // holds every pixel, whatever its blocks

  // Forms.
  void place_lanes(Axes as);
  void place_as(const Placed& other);
};

class Placement {
 public:
  // Shapes, types and uses; forms and tensors come later. Throws Error where shapes do not fit.
  Placement(const OpGraph& graph, const std::vector<Stage>& stages, const Part& part);

  Placed& at(int value) { return values_[static_cast<size_t>(value)]; }
  const Placed& at(int value) const { return values_[static_cast<size_t>(value)]; }
  const Shape& shape(int value) const { return at(value).shape; }
  bool is_bytes(int value) const { return at(value).is_bytes(); }
  // That a window over the value, with an output that lies as `out`, reads in place, if the value's form allows it.
  void demand_window(int value, const Placed& out, const Window& window, const WindowExtent& extent, FillBits fill);

 private:
  void find_shapes(const OpGraph& graph, const std::vector<Stage>& stages, const Part& part);
  void count_uses(const std::vector<Stage>& stages, const Part& part);

  std::vector<Placed> values_;
};

}  // namespace sparsecpu
