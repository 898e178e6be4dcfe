// Steps that compute a rectangle of a lane-blocked output: positions x units of channels.
#pragma once
#include <optional>
#include <vector>

#include "kernels/quantized.h"
#include "layout/permute_plan.h"
#include "run/lane_tensor.h"

namespace sparsecpu {

struct Activation {
  UnaryKind kind;
  float a, b;
};

// The copies that complete an output's halo, in the order of the positions they read, so that they can follow the
// computation of any range of positions while that is in the cache.
struct HaloCopies {
  PermutePlan plan;
  std::vector<uint32_t> begin;  // [position of a batch group], and one end: into plan.copies
  TensorRef tensor;
  float fill = 0;  // or four bytes, as a float's bits
};

// The output's bytes as floats, then as bytes or floats somewhere else (FloatStretch).
struct FloatTail {
  FloatStretch stretch;             // its pointers are set at each call
  std::vector<float> scale, shift;  // one entry a channel, or none
  std::optional<Walk> residual;
  Walk y;
};

class LaneStep : public Step {
 public:
  const KernelTable* kernels = nullptr;
  PositionRange positions;
  Walk x, y;
  std::optional<Walk> residual;
  std::optional<Activation> post;
  std::optional<FloatTail> tail;
  std::optional<HaloCopies> halo;
  int tile = 1;                              // positions computed together
  int64_t rows = 0;                          // output channels
  int rows_per_vector = 1;                   // of the output: 4 for bytes
  int position_chunks = 1, unit_chunks = 1;  // chunks = their product

  void run(int chunk, const Frame& frame) const noexcept final;
  // The output's positions x channels of the units.
  void compute(Share positions, Share units, const Frame& frame) const noexcept;
  virtual int64_t units() const = 0;
  virtual int64_t first_row(int64_t unit) const = 0;  // rows for units()
  virtual int64_t multiplies() const = 0;             // multiply-adds of vectors, at all positions
  Share vectors_of(Share units) const;
  Share units_of(int chunk) const { return share_of(units(), chunk % unit_chunks, unit_chunks); }

 protected:
  // Where operands of the positions [first, first + into->positions) lie.
  template <class Tile>
  void place(int64_t first, const Frame& frame, Tile* into) const noexcept;

 private:
  virtual void compute_tile(Share positions, Share units, const Frame& frame) const noexcept = 0;
  int64_t tile_end(int64_t first, int64_t end) const;
  void activate(Share positions, Share units, const Frame& frame) const noexcept;
  void run_tail(Share positions, Share units, const Frame& frame) const noexcept;
  void fill_halo(Share positions, Share units, const Frame& frame) const noexcept;
};

template <class Tile>
void LaneStep::place(int64_t first, const Frame& frame, Tile* into) const noexcept {
  const float* x_base = frame.at(x.ref);
  float* y_base = frame.at(y.ref);
  const float* residual_base = residual ? frame.at(residual->ref) : nullptr;
  PositionRange::At at = positions.at(first);
  for (int p = 0; p < into->positions; ++p) {
    into->x[p] = x_base + x.offset(at);
    into->y[p] = y_base + y.offset(at);
    into->residual[p] = residual ? residual_base + residual->offset(at) : nullptr;
    positions.advance(&at);
  }
}

}  // namespace sparsecpu
