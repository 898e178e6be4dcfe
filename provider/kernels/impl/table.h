// Builds one level's KernelTable from the kernels in impl/. Included once, by the level's table.cc.
#pragma once
#include "kernels/impl/attention.h"
#include "kernels/impl/dense.h"
#include "kernels/impl/depthwise.h"
#include "kernels/impl/elementwise.h"
#include "kernels/impl/few_rows.h"
#include "kernels/impl/group_norm.h"
#include "kernels/impl/layer_norm.h"
#include "kernels/impl/permute.h"
#include "kernels/impl/pool.h"
#include "kernels/impl/rows.h"
#include "kernels/impl/spmm.h"
#include "kernels/impl/unary.h"
#include "kernels/impl/vec.h"
#include "kernels/kernels.h"

namespace sparsecpu::SPARSECPU_LEVEL {

extern const KernelTable table;
const KernelTable table = {
    .spmm_tile = 4,  // with kSpmmChunkVectors a tile's inputs just fit the L1 cache
    .dense_tile = 8,
    .depthwise_tile = 16,
    .attention_tile = kAttentionTile,
    .spmm = spmm,
    .dense = dense,
    .depthwise = depthwise,
    .few_rows = few_rows,
    .unary = unary,
    .binary = binary,
    .affine = affine,
    .prelu = prelu,
    .pool_max = pool_max,
    .pool_average = pool_average,
    .permute = permute,
    .load_rows = load_rows,
    .store_rows = store_rows,
    .sum_positions = sum_positions,
    .layer_norm = layer_norm,
    .layer_norm_row = layer_norm_row,
    .lane_moments = lane_moments,
    .normalize = normalize,
    .attention = attention,
};

}  // namespace sparsecpu::SPARSECPU_LEVEL
