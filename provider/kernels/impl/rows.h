// 16 rows to and from lanes, transposed in registers: in blocks of 16 columns while every row has them, then in blocks
// of 4, for which a vector takes four columns of four rows. A row's end is loaded and stored under a mask: nothing
// outside rows[l][c * row_step + [0, lengths[l])) is touched.
#pragma once
#include "kernels/impl/transpose.h"
#include "kernels/impl/vec.h"
#include "kernels/kernels.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// Channels whose rows stay in the L1 cache from one block of columns to the next.
constexpr int64_t kRowChannels = 16;

// The rows of a call. An absent row stands where another one does, so that its address can be computed, and read.
template <class T>
struct RowSet {
  T* row[kVec] = {};
  uint16_t present = 0;  // lanes
  int64_t least = 0;     // length of the present ones

  SPARSECPU_INLINE RowSet(const LaneRows& how, T* const* rows) {
    T* any = nullptr;
    for (int l = 0; l < kVec; ++l) {
      if (how.lengths[l] == 0) continue;
      least = any == nullptr || how.lengths[l] < least ? how.lengths[l] : least;
      any = rows[l];
      present |= static_cast<uint16_t>(1u << l);
    }
    for (int l = 0; l < kVec; ++l) row[l] = how.lengths[l] == 0 ? any : rows[l];
  }
};

// Of the columns [at, at + 4), those that each row has.
struct FourColumns {
  FirstFour inside[kVec];
  int64_t columns;

  SPARSECPU_INLINE FourColumns(const LaneRows& how, int64_t at) {
    columns = how.count - at < 4 ? how.count - at : 4;
    for (int l = 0; l < kVec; ++l) {
      const int64_t left = how.lengths[l] - at;
      inside[l] = first_four(left < 0 ? 0 : left > 4 ? 4 : left);
    }
  }
};

SPARSECPU_INLINE void load_sixteen(const RowSet<const float>& rows, int64_t at, Vec fill, float* y, int64_t stride) {
  Vec block[kVec];
  SPARSECPU_UNROLL
  for (int l = 0; l < kVec; ++l) block[l] = loadu(rows.row[l] + at);
  transpose(block);
  SPARSECPU_UNROLL
  for (int i = 0; i < kVec; ++i) store(y + i * stride, select(mask_of(rows.present), block[i], fill));
}

// piece(l): the four columns of row l.
template <class Piece>
SPARSECPU_INLINE void load_four_columns(int64_t columns, float* y, int64_t stride, Piece piece) {
  Vec block[4];
  SPARSECPU_UNROLL
  for (int i = 0; i < 4; ++i) block[i] = join(piece(i), piece(4 + i), piece(8 + i), piece(12 + i));
  transpose_quarters(block[0], block[1], block[2], block[3]);
  SPARSECPU_UNROLL
  for (int i = 0; i < 4; ++i) {
    if (i < columns) store(y + i * stride, block[i]);
  }
}

void load_rows(const LaneRows& how, const float* const* row_pointers, float fill_value, float* y) {
  const RowSet<const float> rows(how, row_pointers);
  const Vec fill = set1(fill_value);
  for (int64_t first = 0; first < how.channels; first += kRowChannels) {
    const int64_t end = first + kRowChannels < how.channels ? first + kRowChannels : how.channels;
    int64_t i = 0;
    for (; i + kVec <= rows.least; i += kVec) {
      float* to = y + i * how.stride;
      for (int64_t c = first; c < end; ++c) {
        load_sixteen(rows, c * how.row_step + i, fill, to + c * how.lane_step, how.stride);
      }
    }
    for (; i < how.count; i += 4) {
      const FourColumns four(how, i);
      float* to = y + i * how.stride;
      if (rows.present == 0xffff && i + 4 <= rows.least) {
        for (int64_t c = first; c < end; ++c) {
          const auto piece = [&](int l) { return load_four(rows.row[l] + c * how.row_step + i); };
          load_four_columns(4, to + c * how.lane_step, how.stride, piece);
        }
      } else if (rows.present == 0) {
        for (int64_t c = first; c < end; ++c) {
          for (int64_t j = 0; j < four.columns; ++j) store(to + c * how.lane_step + j * how.stride, fill);
        }
      } else {
        for (int64_t c = first; c < end; ++c) {
          const auto piece = [&](int l) {
            return load_four_first(rows.row[l] + c * how.row_step + i, four.inside[l], quarter<0>(fill));
          };
          load_four_columns(four.columns, to + c * how.lane_step, how.stride, piece);
        }
      }
    }
  }
}

SPARSECPU_INLINE void store_sixteen(const float* x, int64_t stride, const RowSet<float>& rows, int64_t at) {
  Vec block[kVec];
  SPARSECPU_UNROLL
  for (int i = 0; i < kVec; ++i) block[i] = load(x + i * stride);
  transpose(block);
  SPARSECPU_UNROLL
  for (int l = 0; l < kVec; ++l) {
    if ((rows.present >> l) & 1) storeu(rows.row[l] + at, block[l]);
  }
}

// put(l, four columns of row l).
template <class Put>
SPARSECPU_INLINE void store_four_columns(const float* x, int64_t stride, int64_t columns, Put put) {
  Vec block[4];
  SPARSECPU_UNROLL
  for (int i = 0; i < 4; ++i) block[i] = i < columns ? load(x + i * stride) : zero();
  transpose_quarters(block[0], block[1], block[2], block[3]);
  SPARSECPU_UNROLL
  for (int i = 0; i < 4; ++i) {
    put(i, quarter<0>(block[i]));
    put(4 + i, quarter<1>(block[i]));
    put(8 + i, quarter<2>(block[i]));
    put(12 + i, quarter<3>(block[i]));
  }
}

void store_rows(const LaneRows& how, const float* x, float* const* row_pointers) {
  const RowSet<float> rows(how, row_pointers);
  if (rows.present == 0) return;
  for (int64_t first = 0; first < how.channels; first += kRowChannels) {
    const int64_t end = first + kRowChannels < how.channels ? first + kRowChannels : how.channels;
    int64_t i = 0;
    for (; i + kVec <= rows.least; i += kVec) {
      const float* from = x + i * how.stride;
      for (int64_t c = first; c < end; ++c) {
        store_sixteen(from + c * how.lane_step, how.stride, rows, c * how.row_step + i);
      }
    }
    for (; i < how.count; i += 4) {
      const FourColumns four(how, i);
      const float* from = x + i * how.stride;
      if (rows.present == 0xffff && i + 4 <= rows.least) {
        for (int64_t c = first; c < end; ++c) {
          const auto put = [&](int l, Four v) { store_four(rows.row[l] + c * how.row_step + i, v); };
          store_four_columns(from + c * how.lane_step, how.stride, 4, put);
        }
      } else {
        for (int64_t c = first; c < end; ++c) {
          const auto put = [&](int l, Four v) {
            store_four_first(rows.row[l] + c * how.row_step + i, v, four.inside[l]);
          };
          store_four_columns(from + c * how.lane_step, how.stride, four.columns, put);
        }
      }
    }
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
