#include "run/layout_steps.h"

namespace sparsecpu {
namespace {

// call(transfer, channel) for the share of the plan's rows and segments that a chunk has.
template <class F>
void for_each_transfer(const TransferPlan& plan, int chunk, int chunks, F call) {
  const Share share = share_of(plan.rows() * plan.segments(), chunk, chunks);
  for (int64_t i = share.begin; i < share.end; ++i) {
    const RowTransfer transfer = plan.at(i / plan.segments(), i % plan.segments());
    for (int64_t c = 0; c < plan.outer(); ++c) call(transfer, c);
  }
}

}  // namespace

void ImportStep::run(int chunk, const Frame& frame) const noexcept {
  const float* source = frame.at(tensor);
  float* target = frame.at(lanes);
  for_each_transfer(plan, chunk, chunks, [&](const RowTransfer& t, int64_t c) {
    const float* rows[kLanes];
    row_pointers(t, source + c * plan.tensor_outer_stride(), rows);
    kernels->load_rows(rows, t.length, t.count, fill, target + t.lane_offset + c * plan.lane_outer_stride(),
                       plan.lane_stride());
  });
}

void ExportStep::run(int chunk, const Frame& frame) const noexcept {
  const float* source = frame.at(lanes);
  float* target = frame.at(tensor);
  for_each_transfer(plan, chunk, chunks, [&](const RowTransfer& t, int64_t c) {
    float* rows[kLanes];
    row_pointers(t, target + c * plan.tensor_outer_stride(), rows);
    kernels->store_rows(source + t.lane_offset + c * plan.lane_outer_stride(), plan.lane_stride(), t.count, rows,
                        t.length);
  });
}

void PermuteStep::run(int chunk, const Frame& frame) const noexcept {
  run_vectors(share_of(vectors, chunk, chunks), frame);
}

void PermuteStep::run_vectors(Share share, const Frame& frame) const noexcept {
  for (int64_t r = 0; r < plan.repeats; ++r) {
    kernels->permute(plan.copies.data(), static_cast<int64_t>(plan.copies.size()), plan.sources.data(),
                     frame.at(x) + r * plan.source_step, frame.at(y) + r * plan.destination_step, share.begin,
                     share.end, fill);
  }
}

}  // namespace sparsecpu
