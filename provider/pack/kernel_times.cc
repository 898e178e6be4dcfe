#include "pack/kernel_times.h"

#include <algorithm>
#include <cmath>

#include "base/memory.h"
#include "kernels/jit/spmm_emitter.h"
#include "kernels/quantized.h"

namespace sparsecpu {
namespace {

// Each row ends in every chunk of its inputs.
double lanes_us(const KernelSpeed& speed, const LayerWork& work, double stored, int64_t chunk_vectors) {
  const double ends = static_cast<double>(work.rows * ceil_div(work.inputs, std::max<int64_t>(1, chunk_vectors)));
  const double vectors = std::max(static_cast<double>(work.vectors), speed.least);
  const bool spills = std::min(chunk_vectors, work.inputs) > kSmallCacheVectors && vectors > 2;
  return vectors * (stored + speed.row_end * ends) / (speed.rate * (spills ? speed.spilled : 1)) * 1e-3;
}

double stream_us(const LayerWork& work, double stored, Isa isa) {
  const int64_t chunk = work.bytes ? kQuantizedChunkVectors : spmm_chunk_vectors(work, stored, isa);
  return lanes_us(layer_speed(isa, work.bytes).stream, work, stored, chunk);
}

// A block of kJitRows rows loads each input vector that any of them needs; all code is fetched once.
double code_us(const KernelSpeed& speed, const LayerWork& work, double stored) {
  const double rows = static_cast<double>(work.rows), blocks = std::ceil(rows / kJitRows);
  const double needed = 1 - std::pow(1 - std::min(1.0, stored / std::max(1.0, work.all())), rows / blocks);
  const double units = stored + needed * blocks * static_cast<double>(work.inputs) + speed.row_end * rows;
  const double fetched = stored * (work.bytes ? kCodeGroupBytes : kCodeBytes);
  return (static_cast<double>(work.vectors) * units / speed.rate + fetched / kCodeFetch) * 1e-3;
}

}  // namespace

bool generates_code(Target target, bool bytes) { return target.jit && layer_speed(target.isa, bytes).code.rate > 0; }

bool runs_code(const LayerWork& work, Target target) {
  return generates_code(target, work.bytes) && !work.wide && (work.bytes || work.vectors > kStreamVectors);
}

int64_t spmm_chunk_vectors(const LayerWork& work, double stored, Isa isa) {
  const double density = std::max(stored / std::max(1.0, work.all()), 0.01);
  if (speed_of(isa).small_cache && density >= kSmallCacheNonzeros) return kSmallCacheVectors;
  return std::max<int64_t>(kSpmmChunkVectors, static_cast<int64_t>(kChunkRowNonzeros / density));
}

double sparse_us(const LayerWork& work, double stored, Target target) {
  const LayerSpeed& speed = layer_speed(target.isa, work.bytes);
  if (runs_code(work, target)) return code_us(speed.code, work, stored);
  return stream_us(work, stored, target.isa);
}

double dense_us(const LayerWork& work, Isa isa) {
  return lanes_us(layer_speed(isa, work.bytes).dense, work, work.all(), work.inputs);
}

double break_even(const LayerWork& work, double limit_us, Target target) {
  double below = 0, above = 1;
  if (sparse_us(work, work.all(), target) <= limit_us) return 1;
  for (int halving = 0; halving < 20; ++halving) {
    const double middle = (below + above) / 2;
    (sparse_us(work, middle * work.all(), target) <= limit_us ? below : above) = middle;
  }
  return below;
}

double few_rows_cpu_us(const LayerWork& work, int64_t rows, Isa isa, bool remote) {
  const LayerSpeed& speed = layer_speed(isa, work.bytes);
  const double bytes_ns = remote ? speed.remote_bytes : speed.weight_bytes;
  const double read = 4 * work.all() / bytes_ns;  // a float, or a group of four bytes
  const double operations = (work.bytes ? 8 : 2) * work.all() * static_cast<double>(std::max<int64_t>(1, rows));
  return std::max(read, operations / speed.cpu) * 1e-3;
}

double few_rows_share(bool bytes, int64_t rows) {
  const FewRowsShare& share = bytes ? kFewRowsGroups : kFewRowsNonzeros;
  const auto more = static_cast<double>(std::clamp<int64_t>(rows, 1, kFewRows) - 1);
  return share.one + (share.most - share.one) * more / (kFewRows - 1);
}

double few_rows_sparse_us(const LayerWork& work, double stored, int64_t rows, Isa isa) {
  const LayerSpeed& speed = layer_speed(isa, work.bytes);
  if (rows >= row_major_below(work.bytes, /*sparse=*/true)) return stream_us(work, stored, isa);
  return static_cast<double>(std::max<int64_t>(1, rows)) * stored / speed.few_rows * 1e-3;
}

double few_rows_dense_us(const LayerWork& work, int64_t rows, Isa isa) {
  const LayerSpeed& speed = layer_speed(isa, work.bytes);
  const double one = few_rows_cpu_us(work, 1, isa) / speed.few_rows_one;
  return std::max(one, few_rows_cpu_us(work, rows, isa) / speed.few_rows_dense);
}

KernelChoice fastest_in_lanes(const LayerWork& work, double stored, bool one_group, Target target) {
  const LayerForm sparse_form = runs_code(work, target) ? LayerForm::kCode : LayerForm::kStream;
  const KernelChoice sparse{sparse_form, sparse_us(work, stored, target)};
  const KernelChoice dense{LayerForm::kDense, dense_us(work, target.isa)};
  return one_group && !work.wide && dense.us < sparse.us ? dense : sparse;
}

KernelChoice fastest_row_major(const LayerWork& work, double stored, int64_t rows, bool open, Isa isa) {
  const auto choice = [&](bool sparse, int64_t m) {
    return sparse ? KernelChoice{LayerForm::kFewRowsSparse, few_rows_sparse_us(work, stored, m, isa)}
                  : KernelChoice{LayerForm::kFewRowsDense, few_rows_dense_us(work, m, isa)};
  };
  // Where rows are open, lanes are packed, too: up to a third of nonzeros dense weights would take more than 1.5 times
  // the memory of both in sparse forms.
  const bool fast = layer_speed(isa, work.bytes).few_rows > 1;  // not the scalar kernel
  const bool saves_memory = open && !work.bytes && fast && 3 * stored < work.all();
  const int64_t usual = open ? 1 : rows;
  return choice(saves_memory || choice(true, usual).us < choice(false, usual).us, rows);
}

}  // namespace sparsecpu
