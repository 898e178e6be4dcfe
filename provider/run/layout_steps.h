// Steps that change where things lie: row-major to lane-blocked and back, lane permutations.
#pragma once
#include "kernels/kernels.h"
#include "layout/permute_plan.h"
#include "layout/transfer.h"
#include "run/lane_step.h"

namespace sparsecpu {

class TransferStep : public Step {
 public:
  TransferStep(const KernelTable& table, const TransferPlan& transfer) : kernels(&table), plan(transfer) {}
  const KernelTable* kernels;
  TransferPlan plan;
  TensorRef tensor, lanes;
};

class ImportStep final : public TransferStep {
 public:
  using TransferStep::TransferStep;
  float fill = 0;
  void run(int chunk, const Frame& frame) const noexcept override;
};

class ExportStep final : public TransferStep {
 public:
  using TransferStep::TransferStep;
  void run(int chunk, const Frame& frame) const noexcept override;
};

// A chunk is a range of vectors, so that a halo may be filled in place by several threads at once.
class PermuteStep final : public ChannelwiseStep {
 public:
  const KernelTable* kernels = nullptr;
  PermutePlan plan;
  int64_t vectors = 0;  // in a position
  TensorRef x, y;
  float fill = 0;  // or four bytes, as a float's bits
  void run(int chunk, const Frame& frame) const noexcept override;
  void run_vectors(Share share, const Frame& frame) const noexcept override;
};

}  // namespace sparsecpu
