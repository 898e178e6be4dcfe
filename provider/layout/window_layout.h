// The two ways in which a window's input can lie so that each tap of each output position is one vector at a constant
// offset, and what they take of memory. Included by ops/, which takes no window that needs too much, and by the
// planner.
#pragma once
#include <vector>

#include "layout/geometry.h"
#include "layout/permute_plan.h"

namespace sparsecpu {

// Pixels under the window of a pool.
constexpr int64_t kMostPooledPixels = 4096;

// A window along one axis: its taps, and the pixels of padding before the image.
struct WindowAxis {
  int64_t kernel = 1, stride = 1, dilation = 1, before = 0;

  int64_t reach() const { return (kernel - 1) * dilation; }
};

// Whether taps lie so far apart that their pixels may be gathered instead of all that lie between them. Known without
// an image's size: what reads the input must then not count on the distance between neighbouring taps.
bool taps_lie_apart(const WindowAxis& rows, const WindowAxis& columns);

// Aligned: the input's blocks lie under those of the output, with a halo as wide as the window reaches. Gathered, where
// that is smaller: as the output lies, with the vectors of every tap side by side at each position, those of a tap in
// its slot. Taps that are outside the image at every output share the last slot, which holds the fill value.
class WindowLayout {
 public:
  // `out`: the output's blocks, without a halo; the input has h x w pixels.
  WindowLayout(const Geometry& out, int64_t h, int64_t w, const WindowAxis& rows, const WindowAxis& columns);

  const Geometry& aligned() const { return aligned_; }
  bool gathers() const { return gathers_; }
  // No tap of any output lies beside the image.
  bool reads_pixels_only() const;
  // Vectors that one vector of a pixel becomes, in a batch group; of windows that nobody can run, more than fit int64.
  double positions() const { return gathers_ ? gathered_positions() : aligned_positions(); }

  int64_t slots() const { return live_ + (live_ < taps() ? 1 : 0); }
  int64_t slot(int64_t row, int64_t column) const;
  // From a tensor that stores every pixel; slot_step: floats from a slot to the next.
  PermutePlan gather(const Geometry& source, int64_t source_stride, int64_t stride, int64_t slot_step) const;

 private:
  double aligned_positions() const {
    return static_cast<double>(aligned_.grid_h) * static_cast<double>(aligned_.grid_w);
  }
  double gathered_positions() const { return static_cast<double>(slots()) * static_cast<double>(out_.positions()); }
  int64_t taps() const { return rows_.kernel * columns_.kernel; }

  Geometry out_, aligned_;
  WindowAxis rows_, columns_;
  std::vector<int64_t> row_rank_, column_rank_;  // of each tap among those that are ever inside the image, or -1
  int64_t live_columns_ = 0, live_ = 0;
  bool gathers_ = false;
};

}  // namespace sparsecpu
