#include "pack/jit.h"

#include <algorithm>
#include <cstring>

#include "pack/fold.h"

namespace sparsecpu {
namespace {

// Multiply-adds in one segment: with 10 bytes of code each it stays in the L1 instruction cache while the
// positions of a tile pass through it.
constexpr size_t kSegmentEntries = 2000;

// One block's nonzeros by input vector.
struct Block {
  std::vector<JitColumn> columns;
  std::vector<JitEntry> entries;
};

Block gather_block(const Nonzeros& nonzeros, const LayerWeights& layer, int64_t first_row, int64_t rows,
                   int64_t column_bytes) {
  struct Item {
    uint32_t k;
    JitEntry entry;
  };
  std::vector<Item> items;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = nonzeros.begin[first_row + r]; i < nonzeros.begin[first_row + r + 1]; ++i) {
      items.push_back({nonzeros.k[i], {static_cast<uint8_t>(r), nonzeros.value[i]}});
    }
  }
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.k < b.k; });
  const int64_t channels = layer.groups * layer.weight.channels;
  Block block;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i == 0 || items[i].k != items[i - 1].k) {
      const int64_t tap = items[i].k / channels, channel = items[i].k % channels;
      block.columns.push_back({static_cast<int32_t>(tap / layer.kernel[1]),
                               tap % layer.kernel[1] * column_bytes + channel * kLanes * 4, static_cast<uint32_t>(i), 0});
    }
    ++block.columns.back().count;
    block.entries.push_back(items[i].entry);
  }
  return block;
}

// Code of all segments, block after block, each at a 64-byte boundary.
class LayerEmitter {
 public:
  LayerEmitter(const LayerWeights& layer, int64_t column_bytes, Clamp clamp, int prefetch_calls)
      : layer_(layer), column_bytes_(column_bytes), clamp_(clamp), prefetch_calls_(prefetch_calls), nonzeros_(collect_nonzeros(layer)) {}

  PackedJit emit() {
    const int64_t rows = layer_.weight.rows;
    const int64_t blocks = ceil_div(rows, kJitRows);
    packed_.nonzeros = nonzeros_.begin.back();
    packed_.prefetch_lines = static_cast<int>(kSegmentEntries * 12 / kCacheLine) / prefetch_calls_;
    packed_.block_begin.push_back(0);
    for (int64_t b = 0; b < blocks; ++b) {
      add_block(rows * b / blocks, rows * (b + 1) / blocks);
      packed_.block_begin.push_back(static_cast<uint32_t>(packed_.segments.size()));
    }
    return seal();
  }

 private:
  void add_block(int64_t first_row, int64_t end_row) {
    const Block block = gather_block(nonzeros_, layer_, first_row, end_row - first_row, column_bytes_);
    std::vector<float> bias;
    for (int64_t r = first_row; r < end_row; ++r) bias.push_back(folded_bias(layer_, r));
    const size_t pieces = std::max<size_t>(1, (block.entries.size() + kSegmentEntries - 1) / kSegmentEntries);
    size_t column = 0;
    for (size_t piece = 0; piece < pieces; ++piece) {
      const size_t until = block.entries.size() * (piece + 1) / pieces;
      size_t end = column;
      while (end < block.columns.size() && (piece + 1 == pieces || block.columns[end].first < until)) ++end;
      JitSegmentSource source;
      source.rows = static_cast<int>(end_row - first_row);
      source.bias = piece == 0 ? bias.data() : nullptr;
      source.last = piece + 1 == pieces;
      source.clamp = clamp_;
      source.columns = block.columns.data() + column;
      source.column_count = end - column;
      source.entries = block.entries.data();
      source.prefetch_lines = packed_.prefetch_lines;
      add_segment(first_row, emit_spmm_segment(source));
      column = end;
    }
  }

  void add_segment(int64_t first_row, const std::vector<uint8_t>& code) {
    packed_.segments.push_back({nullptr, first_row, code.size()});
    code_.insert(code_.end(), code.begin(), code.end());
    code_.resize(static_cast<size_t>(round_up(static_cast<int64_t>(code_.size()), kCacheLine)));
  }

  PackedJit seal() {
    packed_.memory = CodeMemory(code_.size());
    std::memcpy(packed_.memory.data(), code_.data(), code_.size());
    if (!packed_.memory.seal()) return {};
    uint8_t* at = packed_.memory.data();
    for (JitSegment& segment : packed_.segments) {
      segment.run = reinterpret_cast<JitFn>(at);
      at += round_up(static_cast<int64_t>(segment.bytes), kCacheLine);
    }
    return std::move(packed_);
  }

  const LayerWeights& layer_;
  const int64_t column_bytes_;
  const Clamp clamp_;
  const int prefetch_calls_;
  const Nonzeros nonzeros_;
  PackedJit packed_;
  std::vector<uint8_t> code_;
};

}  // namespace

PackedJit pack_jit(const LayerWeights& layer, int64_t dilation_w, int64_t position_vectors, Clamp clamp,
                   int prefetch_calls) {
  check_layer(layer);
  const int64_t column_bytes = checked_mul(checked_mul(dilation_w, position_vectors), kLanes * 4);
  return LayerEmitter(layer, column_bytes, clamp, prefetch_calls).emit();
}

}  // namespace sparsecpu
