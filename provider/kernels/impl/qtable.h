// Builds one level's QuantizedKernels. Included once, by the level's quantized.cc.
#pragma once
#include "kernels/impl/qattention.h"
#include "kernels/impl/qdense.h"
#include "kernels/impl/qdepthwise.h"
#include "kernels/impl/qelementwise.h"
#include "kernels/impl/qfew_rows.h"
#include "kernels/impl/qlookup.h"
#include "kernels/impl/qpool.h"
#include "kernels/impl/qrows.h"
#include "kernels/impl/qspmm.h"
#include "kernels/impl/qstretch.h"

namespace sparsecpu::SPARSECPU_LEVEL {

extern const QuantizedKernels quantized;
const QuantizedKernels quantized = {
#if defined(SPARSECPU_LEVEL_VNNI)
    .split_pairs = false,
    .spmm_tile = 8,
#elif defined(SPARSECPU_LEVEL_AVX512)
    .split_pairs = true,
    .spmm_tile = 8,
#elif defined(SPARSECPU_LEVEL_AVX2)
    .split_pairs = true,
    .spmm_tile = 4,
#else
    .split_pairs = false,
    .spmm_tile = 4,
#endif
    .dense_tile = 8,
    .depthwise_tile = 16,
    .attention_tile = kByteAttentionTile,
    .spmm = qspmm,
    .finish = qfinish,
    .dense = qdense,
    .depthwise = qdepthwise,
    .few_rows = qfew_rows,
    .quantize_lanes = quantize_lanes,
    .dequantize_lanes = dequantize_lanes,
    .quantize = quantize_flat,
    .dequantize = dequantize_flat,
    .requantize = requantize_flat,
    .min_max = min_max,
    .load_planes = load_planes,
    .load_channels = load_channels,
    .store_planes = store_planes,
    .store_channels = store_channels,
    .interleave_planes = interleave_planes,
    .separate_planes = separate_planes,
    .add = add_bytes,
    .multiply = multiply_bytes,
    .lookup = look_up_bytes,
    .pool_max = qpool_max,
    .pool_average = qpool_average,
    .sum_positions = qsum_positions,
    .copy_channels = copy_channels,
    .prepare_attention = prepare_attention,
    .attend = attend_bytes,
    .float_stretch = float_stretch,
};

}  // namespace sparsecpu::SPARSECPU_LEVEL
