// Row-major bytes to and from lanes, and channels moved within lanes. A lane's 32 bits travel as one float, so the
// fp32 transpose does the rest; loads and stores that could leave a row go through a copy on the stack.
#pragma once
#include "kernels/impl/qvec.h"
#include "kernels/impl/transpose.h"
#include "kernels/quantized.h"

namespace sparsecpu::SPARSECPU_LEVEL {
namespace {

// The transposed block to columns [0, columns) of y.
SPARSECPU_INLINE void store_columns(Vec (&block)[kVec], float* y, int64_t stride, int64_t columns) {
  transpose(block);
  for (int64_t i = 0; i < kVec && i < columns; ++i) store(y + i * stride, block[i]);
}

// Four lanes' next 16 pixels of one plane, a quarter each: lanes `first`, first + 4, ... Where a row has no pixel
// stands `fill`, before the flip as after it.
SPARSECPU_INLINE Bytes load_plane(const ByteRows& args, int plane, int first, const uint8_t* const* rows,
                                  const int64_t* lengths, int64_t at) {
  const uint8_t fill = static_cast<uint8_t>(args.fill >> (8 * plane));
  if (plane >= args.planes) return set_byte(fill);
  alignas(16) uint8_t edge[4][16];
  const uint8_t* from[4];
  for (int q = 0; q < 4; ++q) {
    const int lane = 4 * q + first;
    const int64_t left = lengths[lane] - at;
    const uint8_t* row = rows[lane] ? rows[lane] + plane * args.plane_stride + at : nullptr;
    from[q] = row;
    if (left >= 16) continue;
    __builtin_memset(edge[q], fill ^ args.sign, 16);
    for (int64_t i = 0; i < left; ++i) edge[q][i] = row[i];
    from[q] = edge[q];
  }
  return xor_bytes(set_quarters(from), set_byte(args.sign));
}

// Blocks of 16 pixels; the last one begins early if it would not be full, so that most rows are loaded at once.
void load_planes(const ByteRows& args, const uint8_t* const* rows, const int64_t* lengths, int64_t count, float* y,
                 int64_t stride) {
  for (int64_t block = 0; block < count; block += 16) {
    const int64_t at = block + 16 > count && count >= 16 ? count - 16 : block;
    Bytes pixels[4][4];  // [first lane][i]: in quarter q the pixels 4 i .. 4 i + 3 of lane 4 q + first
    for (int first = 0; first < 4; ++first) {
      Bytes plane[4];
      for (int j = 0; j < 4; ++j) plane[j] = load_plane(args, j, first, rows, lengths, at);
      interleave(plane[0], plane[1], plane[2], plane[3], pixels[first]);
    }
    for (int i = 0; i < 4; ++i) {
      Ints column[4];
      for (int first = 0; first < 4; ++first) column[first] = as_ints(pixels[first][i]);
      transpose_quarters(column);
      for (int c = 0; c < 4 && at + 4 * i + c < count; ++c) store_ints(y + (at + 4 * i + c) * stride, column[c]);
    }
  }
}

// The first of the 64 pixels to take next: the last ones begin early if they would not be 64, so that they are.
SPARSECPU_INLINE int64_t pixel_block(int64_t at, int64_t count) {
  return at + kByteVec > count && count >= kByteVec ? count - kByteVec : at;
}

void interleave_planes(const ByteRows& args, const uint8_t* x, int64_t count, float* y) {
  const Bytes flip = set_byte(args.sign);
  for (int64_t block = 0; block < count; block += kByteVec) {
    const int64_t at = pixel_block(block, count);
    Bytes plane[4], pixels[4];
    for (int j = 0; j < 4; ++j) {
      plane[j] = j >= args.planes ? set_byte(static_cast<uint8_t>(args.fill >> (8 * j)))
                                  : xor_bytes(load_bytes_first(x + j * args.plane_stride + at, count - at), flip);
      plane[j] = transpose_lanes(plane[j]);
    }
    interleave(plane[0], plane[1], plane[2], plane[3], pixels);
    for (int i = 0; i < 4 && at + 16 * i < count; ++i) store_bytes(y + at + 16 * i, pixels[i]);
  }
}

void separate_planes(const ByteRows& args, const float* x, int64_t count, uint8_t* y) {
  const Bytes flip = set_byte(args.sign);
  for (int64_t block = 0; block < count; block += kByteVec) {
    const int64_t at = pixel_block(block, count);
    Ints plane[4];
    for (int i = 0; i < 4; ++i) {
      plane[i] = at + 16 * i < count ? as_ints(transpose_bytes(load_bytes(x + at + 16 * i))) : set_int(0);
    }
    transpose_quarters(plane);
    for (int j = 0; j < args.planes; ++j) {
      const Bytes bytes = transpose_lanes(as_bytes(as_floats(plane[j])));
      store_bytes_first(y + j * args.plane_stride + at, xor_bytes(bytes, flip), count - at);
    }
  }
}

// Bytes [at, at + 64) of a row; from its length on they are `fill`.
SPARSECPU_INLINE Vec load_channel_dwords(const ByteRows& args, const uint8_t* row, int64_t at, int64_t length) {
  const int64_t left = length - at;
  if (left >= kByteVec) return as_floats(xor_bytes(load_bytes(row + at), set_byte(args.sign)));
  alignas(64) uint8_t bytes[kByteVec];
  store_bytes(bytes, set_lane(args.fill));
  for (int64_t i = 0; i < left; ++i) bytes[i] = row[at + i] ^ args.sign;
  return as_floats(load_bytes(bytes));
}

void load_channels(const ByteRows& args, const uint8_t* const* rows, const int64_t* lengths, int64_t count, float* y,
                   int64_t stride) {
  for (int64_t c = 0; c < count; c += kByteVec) {
    Vec block[kVec];
    for (int l = 0; l < kVec; ++l) block[l] = load_channel_dwords(args, rows[l], c, lengths[l]);
    store_columns(block, y + c / 4 * stride, stride, (count - c + 3) / 4);
  }
}

// 16 columns of y, fewer at the end, with lanes as rows.
SPARSECPU_INLINE void load_columns(const float* x, int64_t stride, int64_t columns, Vec (&block)[kVec]) {
  for (int64_t i = 0; i < kVec; ++i) block[i] = i < columns ? load(x + i * stride) : zero();
  transpose(block);
}

// 16 pixels of one lane: dword i is the four channels of pixel i.
using PixelDwords = uint32_t[16];

SPARSECPU_INLINE void store_pixels(const ByteRows& args, const PixelDwords& pixels, uint8_t* row, int64_t count) {
  for (int j = 0; j < args.planes; ++j) {
    uint8_t plane[16];
    for (int i = 0; i < 16; ++i) plane[i] = static_cast<uint8_t>(pixels[i] >> (8 * j)) ^ args.sign;
    uint8_t* to = row + j * args.plane_stride;
    if (count >= 16) {
      __builtin_memcpy(to, plane, 16);
    } else {
      __builtin_memcpy(to, plane, static_cast<size_t>(count));
    }
  }
}

void store_planes(const ByteRows& args, const float* x, int64_t stride, int64_t count, uint8_t* const* rows,
                  const int64_t* lengths) {
  for (int64_t i = 0; i < count; i += 16) {
    Vec block[kVec];
    load_columns(x + i * stride, stride, count - i, block);
    for (int l = 0; l < kVec; ++l) {
      if (lengths[l] <= i) continue;
      PixelDwords pixels;
      store_bytes(pixels, as_bytes(block[l]));
      store_pixels(args, pixels, rows[l] + i, lengths[l] - i);
    }
  }
}

void store_channels(const ByteRows& args, const float* x, int64_t stride, int64_t count, uint8_t* const* rows,
                    const int64_t* lengths) {
  const Bytes flip = set_byte(args.sign);
  for (int64_t c = 0; c < count; c += kByteVec) {
    Vec block[kVec];
    load_columns(x + c / 4 * stride, stride, (count - c + 3) / 4, block);
    for (int l = 0; l < kVec; ++l) {
      const int64_t left = lengths[l] - c;
      if (left > 0) store_bytes_first(rows[l] + c, xor_bytes(as_bytes(block[l]), flip), left);
    }
  }
}

// Each vector of y takes its bytes from one or two neighbouring vectors of x.
void copy_channels(const float* x, int64_t x_first, float* y, int64_t y_first, int64_t channels) {
  const int64_t end = y_first + channels, distance = x_first - y_first;
  for (int64_t vector = y_first / 4; 4 * vector < end; ++vector) {
    for (int64_t c = 4 * vector; c < 4 * vector + 4; c += 0) {
      if (c < y_first) c = y_first;
      if (c >= end) break;
      // Channels [c, stop) lie in one vector of x and one of y.
      const int64_t from = c + distance;
      int64_t stop = 4 * vector + 4 < end ? 4 * vector + 4 : end;
      if (stop - c > 4 - from % 4) stop = c + 4 - from % 4;
      const uint8_t* source = reinterpret_cast<const uint8_t*>(x + from / 4 * kVec) + from % 4;
      uint8_t* to = reinterpret_cast<uint8_t*>(y + vector * kVec) + c % 4;
      for (int l = 0; l < kLanes; ++l) {
        for (int64_t i = 0; i < stop - c; ++i) to[4 * l + i] = source[4 * l + i];
      }
      c = stop;
    }
  }
}

}  // namespace
}  // namespace sparsecpu::SPARSECPU_LEVEL
