// Predicted times of our kernels for linear layers, by the table of measured numbers (speeds.h): in microseconds on one
// thread. Claiming prices nodes by them, lowering packs the form that is chosen here.
#pragma once
#include <cstdint>

#include "pack/layer_form.h"
#include "pack/levels.h"

namespace sparsecpu {

// What a layer is predicted for. jit: the system allows generated code, and no option forbids it.
struct Target {
  Isa isa = Isa::kScalar;
  bool jit = false;
  bool cached = true;  // of claiming: the graph's weights, dense, stay in the last cache from run to run
};

// Whether sparse layers of floats, of bytes, get generated code, if they have enough positions for it.
bool generates_code(Target target, bool bytes);

// A layer but for its zeros. What the sparse kernels do not skip is `stored`: nonzeros, of bytes the groups of four
// channels with a nonzero.
struct LayerWork {
  bool bytes = false;
  int64_t rows = 0;     // output channels
  int64_t inputs = 0;   // of a row: taps times input channels, of bytes in groups of four
  int64_t vectors = 0;  // of 16 positions
  bool wide = false;    // weights that are no s8: only the stream can hold them, in lanes
  double all() const { return static_cast<double>(rows) * static_cast<double>(inputs); }
};

bool runs_code(const LayerWork& work, Target target);  // generated code, where the sparse kernel is taken
double sparse_us(const LayerWork& work, double stored, Target target);
double dense_us(const LayerWork& work, Isa isa);

// The share of weights (groups) stored at which the sparse kernel takes `limit_us`; 1 where it never does.
double break_even(const LayerWork& work, double limit_us, Target target);

// Rows below which a 1x1 layer runs row-major, dense or sparse.
constexpr int64_t row_major_below(bool bytes, bool sparse) { return sparse && !bytes ? kFewSparseRows : kFewRows; }

// Layers of fewer than kFewRows rows, where reading the weights takes the time, and the CPU provider's. share: of
// weights (groups) stored, up to which the sparse kernel is sure to be faster than that.
// remote: weights come from memory in every run, as those of a graph that is larger than the last cache do.
double few_rows_cpu_us(const LayerWork& work, int64_t rows, Isa isa, bool remote = false);
double few_rows_sparse_us(const LayerWork& work, double stored, int64_t rows, Isa isa);
double few_rows_dense_us(const LayerWork& work, int64_t rows, Isa isa);
double few_rows_share(bool bytes, int64_t rows);

// The form that is predicted to be fastest, and its time.
struct KernelChoice {
  LayerForm form = LayerForm::kDense;
  double us = 0;
};
// In lanes, of a layer that is not depthwise. One of several groups has no dense form.
KernelChoice fastest_in_lanes(const LayerWork& work, double stored, bool one_group, Target target);
// Row-major. open: the model leaves the rows open, and most calls with a few have one.
KernelChoice fastest_row_major(const LayerWork& work, double stored, int64_t rows, bool open, Isa isa);

// Input vectors of a chunk of K of the stream kernel of floats.
int64_t spmm_chunk_vectors(const LayerWork& work, double stored, Isa isa);

}  // namespace sparsecpu
