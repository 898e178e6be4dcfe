// Values in the form that a step needs, converted at most once a form.
#pragma once
#include <optional>
#include <vector>

#include "layout/permute_plan.h"
#include "layout/transfer.h"
#include "layout/window_layout.h"
#include "lower/buffers.h"
#include "lower/emission.h"
#include "lower/placement.h"

namespace sparsecpu {

// A window over an input, with all numbers explicit: `tensor` is the lane-blocked tensor to read, `first` the
// walk to the first tap of each output position, `taps` the way from there to each tap in floats, row by row.
struct WindowInput {
  LaneTensor tensor;
  Walk first;
  std::vector<ptrdiff_t> taps{0};
};

class Layouts {
 public:
  Layouts(Placement* placement, Buffers* buffers, Emission* emission)
      : placement_(*placement), buffers_(*buffers), emission_(*emission) {}

  TensorRef dense_of(int value);
  LaneTensor lanes_of(int value, const Geometry& blocks, Axes axes);
  LaneTensor transposed_lanes_of(int value, const Geometry& blocks);  // of [channels, tokens]
  // The whole image without a halo, in its home form if that is one of images.
  LaneTensor image_of(int value);
  // In place if a version with the blocks has the border, else a copy made for this window.
  WindowInput window_of(int value, const Placed& out, const Window& window, const WindowExtent& extent, FillBits fill);

  // What a stage makes.
  TensorRef new_dense(int value);
  LaneTensor new_lanes(int value);                              // as home
  LaneTensor adopt_lanes(int value, const LaneTensor& tensor);  // as home, in place of a new one
  LaneTensor new_tensor(const Geometry& geometry, int64_t vectors);
  // Completes the halo of a value that was made in lanes: in the step that computes it, if it can.
  void fill_halo(int value);

  // Steps. `value` says of which type the elements are.
  void add_import(int value, TensorRef source, const LaneTensor& target, const TransferPlan& plan, FillBits fill);
  void add_export(int value, const LaneTensor& lanes, TensorRef target, const TransferPlan& plan);
  PermuteStep& add_relayout(const LaneTensor& source, const LaneTensor& target, const PixelMap& map, FillBits fill);
  void fill_lanes(const LaneTensor& target, FillBits fill);

 private:
  LaneTensor imported(int value, const Geometry& geometry, Axes axes, FillBits fill);
  LaneTensor relaid(const LaneTensor& source, const Geometry& destination, FillBits fill);
  LaneTensor new_relaid(const LaneTensor& source, const Geometry& destination, int64_t vectors);
  PermuteStep& add_permute(PermutePlan plan, const LaneTensor& source, const LaneTensor& target, FillBits fill,
                           const char* name);
  WindowInput gathered(int value, const Placed& out, const Window& window, const WindowLayout& layout, FillBits fill);

  Placement& placement_;
  Buffers& buffers_;
  Emission& emission_;
};

}  // namespace sparsecpu
