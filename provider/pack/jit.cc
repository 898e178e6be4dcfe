#include "pack/jit.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

#include "pack/fold.h"
#include "pack/groups.h"

namespace sparsecpu {
namespace {

// Multiply-adds in one segment: with 10 bytes of code each it stays in the L1 instruction cache while the
// positions of a tile pass through it.
constexpr size_t kSegmentEntries = 2000;

// A layer's nonzeros, floats or int8 groups, row by row in ascending k = tap * tap_columns + vector.
struct Matrix {
  int64_t rows = 0, tap_columns = 0, kernel_width = 1;
  bool integer = false;
  std::vector<int64_t> begin;       // rows + 1
  std::vector<uint32_t> k, weight;  // weight: bits
  std::vector<float> bias;          // floats
  Clamp clamp{};
};

// One block's nonzeros by input vector.
struct Block {
  std::vector<JitColumn> columns;
  std::vector<JitEntry> entries;
};

Block gather_block(const Matrix& matrix, int64_t first_row, int64_t rows, int64_t column_bytes) {
  struct Item {
    uint32_t k;
    JitEntry entry;
  };
  std::vector<Item> items;
  for (int64_t r = 0; r < rows; ++r) {
    for (auto i = static_cast<size_t>(matrix.begin[first_row + r]);
         i < static_cast<size_t>(matrix.begin[first_row + r + 1]); ++i) {
      items.push_back({matrix.k[i], {static_cast<uint8_t>(r), matrix.weight[i]}});
    }
  }
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.k < b.k; });
  Block block;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i == 0 || items[i].k != items[i - 1].k) {
      const int64_t tap = items[i].k / matrix.tap_columns, vector = items[i].k % matrix.tap_columns;
      block.columns.push_back({static_cast<int32_t>(tap / matrix.kernel_width),
                               tap % matrix.kernel_width * column_bytes + vector * kLanes * 4, static_cast<uint32_t>(i),
                               0});
    }
    ++block.columns.back().count;
    block.entries.push_back(items[i].entry);
  }
  return block;
}

// Code of all segments, block after block, each at a 64-byte boundary.
class LayerEmitter {
 public:
  LayerEmitter(const Matrix& matrix, int64_t column_bytes, int prefetch_calls)
      : matrix_(matrix),
        column_bytes_(column_bytes),
        prefetch_calls_(prefetch_calls),
        blocks_(ceil_div(matrix.rows, kJitRows)) {
    packed_.nonzeros = matrix.begin.back();
    if (!matrix.integer) packed_.clamp = matrix.clamp;
  }

  PackedJit emit() {
    packed_.block_begin.push_back(0);
    for (int64_t b = 0; b < blocks_; ++b) {
      add_block(first_row(b), first_row(b + 1));
      packed_.block_begin.push_back(static_cast<uint32_t>(packed_.segments.size()));
    }
    packed_.code_bytes = packed_.code.size();
    return std::move(packed_);
  }

  // Call before emit(): the routine that finishes each block, in bytes from the start of the code.
  std::vector<size_t> add_finish(JitFinishForm form) {
    std::vector<size_t> places;
    std::map<int, size_t> place_of;  // by rows
    for (int64_t b = 0; b < blocks_; ++b) {
      const int rows = quad_rows(first_row(b), first_row(b + 1));
      const auto [found, is_new] = place_of.try_emplace(rows, packed_.code.size());
      if (is_new) add_code(emit_finish(rows, form));
      places.push_back(found->second);
    }
    packed_.segments_at = packed_.code.size();
    return places;
  }

 private:
  int64_t first_row(int64_t block) const {
    const int64_t row = matrix_.rows * block / blocks_;
    return matrix_.integer ? std::min(round_up(row, 4), matrix_.rows) : row;
  }
  static int quad_rows(int64_t first_row, int64_t end_row) {
    return static_cast<int>(round_up(end_row - first_row, 4));
  }

  void add_block(int64_t first_row, int64_t end_row) {
    const Block block = gather_block(matrix_, first_row, end_row - first_row, column_bytes_);
    const size_t pieces = std::max<size_t>(1, (block.entries.size() + kSegmentEntries - 1) / kSegmentEntries);
    size_t column = 0;
    for (size_t piece = 0; piece < pieces; ++piece) {
      const size_t until = block.entries.size() * (piece + 1) / pieces;
      size_t end = column;
      while (end < block.columns.size() && (piece + 1 == pieces || block.columns[end].first < until)) ++end;
      JitSegmentSource source;
      source.rows = matrix_.integer ? quad_rows(first_row, end_row) : static_cast<int>(end_row - first_row);
      source.integer = matrix_.integer;
      source.first = piece == 0;
      source.last = piece + 1 == pieces;
      if (!matrix_.integer) source.bias = matrix_.bias.data() + first_row;
      source.clamp = matrix_.clamp;
      source.columns = block.columns.data() + column;
      source.column_count = end - column;
      source.entries = block.entries.data();
      source.prefetch_lines = prefetch_lines(block.entries.size() / pieces, source);
      add_segment(source.prefetch_lines, first_row, emit_spmm_segment(source));
      column = end;
    }
  }

  // The next segment is about as large as this one: some 11 bytes a multiply-add, 8 a load, 16 a row.
  int prefetch_lines(size_t entries, const JitSegmentSource& source) const {
    const size_t bytes = entries * 11 + source.column_count * 8 + static_cast<size_t>(source.rows) * 16;
    return 1 + static_cast<int>(bytes / kCacheLine) / prefetch_calls_;
  }

  void add_segment(int prefetch_lines, int64_t first_row, const std::vector<uint8_t>& code) {
    packed_.segments.push_back({nullptr, first_row, code.size(), prefetch_lines});
    add_code(code);
  }

  void add_code(const std::vector<uint8_t>& code) {
    packed_.code.insert(packed_.code.end(), code.begin(), code.end());
    packed_.code.resize(static_cast<size_t>(round_up(static_cast<int64_t>(packed_.code.size()), kCacheLine)));
  }

  const Matrix& matrix_;
  const int64_t column_bytes_;
  const int prefetch_calls_;
  const int64_t blocks_;
  PackedJit packed_;
};

Matrix matrix_of(const LayerWeights& layer, Clamp clamp) {
  const Nonzeros nonzeros = collect_nonzeros(layer);
  Matrix matrix;
  matrix.rows = layer.weight.rows;
  matrix.tap_columns = layer.groups * layer.weight.channels;
  matrix.kernel_width = layer.kernel[1];
  matrix.begin = nonzeros.begin;
  matrix.k = nonzeros.k;
  for (float w : nonzeros.value) matrix.weight.push_back(std::bit_cast<uint32_t>(w));
  for (int64_t r = 0; r < matrix.rows; ++r) matrix.bias.push_back(folded_bias(layer, r));
  matrix.clamp = clamp;
  return matrix;
}

Matrix matrix_of(const QuantizedLayer& layer) {
  const GroupSpace space = group_space(layer);
  Matrix matrix;
  matrix.rows = layer.weight.rows;
  matrix.tap_columns = space.tap_groups;
  matrix.kernel_width = layer.kernel[1];
  matrix.integer = true;
  matrix.begin.push_back(0);
  for_each_row(layer, [&](int64_t, const uint32_t* groups) {
    for (int64_t k = 0; k < space.row_groups; ++k) {
      if (groups[k] == 0) continue;
      matrix.k.push_back(static_cast<uint32_t>(k));
      matrix.weight.push_back(groups[k]);
    }
    matrix.begin.push_back(static_cast<int64_t>(matrix.k.size()));
  });
  return matrix;
}

int64_t column_bytes_of(int64_t dilation_w, int64_t position_vectors) {
  return checked_mul(checked_mul(dilation_w, position_vectors), kLanes * 4);
}

}  // namespace

PackedJit pack_jit(const LayerWeights& layer, int64_t dilation_w, int64_t position_vectors, Clamp clamp,
                   int prefetch_calls) {
  check_layer(layer);
  const Matrix matrix = matrix_of(layer, clamp);
  return LayerEmitter(matrix, column_bytes_of(dilation_w, position_vectors), prefetch_calls).emit();
}

PackedQJit pack_qjit(const QuantizedLayer& layer, int64_t dilation_w, int64_t position_vectors, JitFinishForm form,
                     int prefetch_calls) {
  check_layer(layer);
  PackedQJit packed;
  packed.rows = quantized_rows(layer);
  if (jit_clamps(packed.rows.largest_product)) packed.form = form;
  const Matrix matrix = matrix_of(layer);
  LayerEmitter emitter(matrix, column_bytes_of(dilation_w, position_vectors), prefetch_calls);
  packed.store = emitter.add_finish({});
  packed.finish = packed.form == JitFinishForm() ? packed.store : emitter.add_finish(packed.form);
  packed.code = emitter.emit();
  return packed;
}

bool place_code(const std::vector<PackedJit*>& layers, CodeMemory* memory) {
  size_t bytes = 0;
  for (const PackedJit* layer : layers) bytes += layer->code_bytes;
  *memory = CodeMemory(bytes);
  if (bytes > 0 && memory->data() == nullptr) return false;
  uint8_t* base = memory->data();
  for (const PackedJit* layer : layers) base = std::copy(layer->code.begin(), layer->code.end(), base);
  if (!memory->seal()) return false;
  base = memory->data();
  for (PackedJit* layer : layers) {
    layer->code = {};
    layer->base = base;
    uint8_t* at = base + layer->segments_at;
    for (JitSegment& segment : layer->segments) {
      segment.run = reinterpret_cast<JitFn>(at);
      at += round_up(static_cast<int64_t>(segment.bytes), kCacheLine);
    }
    base += layer->code_bytes;
  }
  return true;
}

}  // namespace sparsecpu
