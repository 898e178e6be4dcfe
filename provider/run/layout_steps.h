// Steps that change where things lie: row-major to lane-blocked and back, lane permutations.
#pragma once
#include <optional>

#include "kernels/quantized.h"
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

  virtual int64_t units() const;  // of work, any split of which into chunks is right
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

// Bytes go four channels at a time.
class ByteTransferStep : public TransferStep {
 public:
  ByteTransferStep(const KernelTable& table, const TransferPlan& transfer)
      : TransferStep(table, transfer), pixels(transfer.of_pixels()) {}
  std::optional<TransferPlan> pixels;  // small maps
  uint8_t sign = 0;

  int64_t units() const override;

 protected:
  // The planes of channels [4 * quad, 4 * quad + 4), as many as there are.
  ByteRows planes_of(int64_t quad, uint32_t fill) const;
};

class ByteImportStep final : public ByteTransferStep {
 public:
  using ByteTransferStep::ByteTransferStep;
  uint32_t fill = 0;
  std::optional<TensorRef> quantization;  // DynamicQuantizeStep's: fills with this run's zero point instead
  void run(int chunk, const Frame& frame) const noexcept override;

 private:
  void import_pixels(Share units, uint32_t border, const uint8_t* source, float* target) const noexcept;
};

class ByteExportStep final : public ByteTransferStep {
 public:
  using ByteTransferStep::ByteTransferStep;
  void run(int chunk, const Frame& frame) const noexcept override;

 private:
  void export_pixels(Share units, const float* source, uint8_t* target) const noexcept;
};

// Elements from one to the next along each of `rank` axes in a row-major tensor of this shape, which is aligned at its
// last axis; 0 where it has one element, which is repeated.
std::vector<int64_t> broadcast_steps(const std::vector<int64_t>& shape, size_t rank);

// A row-major tensor of `to` from one of `from`, which broadcasts to it. A chunk is a range of rows of the last axis.
class RepeatStep final : public Step {
 public:
  RepeatStep(const std::vector<int64_t>& to, const std::vector<int64_t>& from, int64_t element_bytes);
  TensorRef x, y;

  int64_t rows() const { return rows_; }
  void run(int chunk, const Frame& frame) const noexcept override;

 private:
  std::vector<int64_t> sizes_, steps_;  // of all axes but the last
  int64_t rows_ = 1, length_ = 1;
  bool repeats_ = false;  // along the last axis
  int64_t element_bytes_;
};

// A chunk is a range of vectors, so that a halo may be filled in place by several threads at once.
class PermuteStep final : public Step {
 public:
  const KernelTable* kernels = nullptr;
  PermutePlan plan;
  int64_t vectors = 0;  // in a position
  TensorRef x, y;
  float fill = 0;                         // or four bytes, as a float's bits
  std::optional<TensorRef> quantization;  // DynamicQuantizeStep's: fills with this run's zero point instead
  void run(int chunk, const Frame& frame) const noexcept override;
};

}  // namespace sparsecpu
