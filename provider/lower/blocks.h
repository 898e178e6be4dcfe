// How values lie in lanes: the blocks of a shape, what a halo adds to them, and what stands where no pixel is.
#pragma once
#include <bit>
#include <cstdint>

#include "layout/geometry.h"
#include "layout/transfer.h"
#include "ops/op.h"

namespace sparsecpu {

// What stands in a lane-blocked tensor where no pixel is: 32 bits, a float or four bytes.
using FillBits = uint32_t;
constexpr FillBits fill_of(float value) { return std::bit_cast<FillBits>(value); }
constexpr FillBits fill_of_byte(int value) { return static_cast<FillBits>(value) * 0x01010101u; }

constexpr bool is_bytes(ElementType type) { return type != ElementType::kFloat; }
// Bytes are stored unsigned.
constexpr uint8_t sign_of(ElementType type) { return type == ElementType::kInt8 ? 0x80 : 0; }

// Rows and columns around the blocks, in pixels from a block's origin.
struct Extent {
  int64_t top = 0, left = 0, bottom = 0, right = 0;  // [top, bottom) x [left, right)
};

bool is_empty(const Shape& shape);
int64_t token_count(const Shape& shape);
int64_t channel_count(const Shape& shape, Axes axes);

// Tokens: lanes are 16 consecutive tokens. Images: the split with the fewest positions.
Geometry blocks_of(const Shape& shape, Axes axes);
Geometry with_extent(const Geometry& blocks, const Extent& extent);
bool same_blocks(const Geometry& a, const Geometry& b);
bool covers(const Geometry& have, const Geometry& need);

// The lanes whose position `row`, `column` from their block's origin is a pixel of the image.
uint16_t pixel_lanes(const Geometry& g, int64_t row, int64_t column);

// Element strides of (image, channel, row, column) in the row-major tensor of this shape.
TensorStrides strides_of(const Shape& shape, Axes axes);

// [n, c, 1, 1] or [n, c, 1] next to an image.
bool is_one_a_channel(const Shape& operand, const Shape& image);

}  // namespace sparsecpu
