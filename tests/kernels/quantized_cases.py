"""INT8 layers for the kernels' tests: byte lanes by plain numpy, sums in int64, and the formulas of the contract in
float32, one rounding an operation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from lane_arrays import LANES, aligned, guarded
from onnxruntime_ep_sparsecpu import _native

q = _native.kernels.quantized
F = np.float32


def vectors(channels: int) -> int:
    return -(-channels // 4)


def to_byte_lanes(values: np.ndarray, pad: int = 0) -> np.ndarray:
    """[..., channels, lane] of u8 as [..., vectors, lane] of float32 bits; pad bytes of any value."""
    channels = values.shape[-2]
    full = np.full((*values.shape[:-2], vectors(channels) * 4, LANES), pad, np.uint8)
    full[..., :channels, :] = values
    quads = full.reshape(*values.shape[:-2], vectors(channels), 4, LANES)
    return bits(np.ascontiguousarray(np.swapaxes(quads, -1, -2)))


def from_byte_lanes(lanes: np.ndarray, channels: int) -> np.ndarray:
    """[..., vectors, lane] of float32 bits as [..., channels, lane] of u8."""
    quads = np.swapaxes(lanes.view(np.uint8).reshape(*lanes.shape, 4), -1, -2)
    return quads.reshape(*lanes.shape[:-2], -1, LANES)[..., :channels, :]


def bits(array: np.ndarray) -> np.ndarray:
    """An aligned float32 array with the bytes of `array`, whose last axis (of 4 bytes) disappears."""
    out = aligned(array.shape[:-1])
    out.view(np.uint8).reshape(-1)[:] = array.reshape(-1)
    return out


def requantized(acc: np.ndarray, multiplier: np.ndarray, zero_point: int) -> np.ndarray:
    """RNE(clamp(float(acc) * multiplier, -zero_point, 255 - zero_point)) + zero_point."""
    with np.errstate(over="ignore"):
        scaled = acc.astype(F) * multiplier
    return (np.rint(np.clip(scaled, F(-zero_point), F(255 - zero_point))) + zero_point).astype(np.int64)


def fused(a: np.ndarray, b: float, c: np.ndarray | float) -> np.ndarray:
    """fma(a, b, c) in float32 for 8-bit integers a: the product is exact in float64; the sum's rounding error, taken
    exactly, breaks the ties of the second rounding."""
    product = a.astype(np.float64) * np.float64(F(b))
    addend = np.asarray(c, F).astype(np.float64)
    total = product + addend
    part = total - product
    error = (product - (total - part)) + (addend - part)
    odd = (total.view(np.int64) & 1) == 1
    nudge = (error != 0) & ~odd
    rounded_to_odd = np.where(nudge, np.nextafter(total, np.where(error > 0, np.inf, -np.inf)), total)
    return rounded_to_odd.astype(F)


def summed(a: np.ndarray, b: np.ndarray, ratios: tuple[float, float, float], sign: int) -> np.ndarray:
    """QLinearAdd of stored bytes."""
    own = fused(a.astype(np.int64) - sign, ratios[0], fused(b.astype(np.int64) - sign, ratios[1], F(ratios[2])))
    return (np.clip(np.rint(own), -sign, 255 - sign) + sign).astype(np.int64)


_REGIONS = 256  # more than one example needs; a process may map only about 65 thousand pieces
_REGION_FLOATS = 4096
_regions: list[np.ndarray] = []
_next = 0


def guarded_bytes(values: np.ndarray) -> np.ndarray:
    """A copy whose last byte is followed by a page that faults; its memory is used again after 256 more."""
    global _next
    if len(_regions) < _REGIONS:
        _regions.append(guarded(np.zeros(_REGION_FLOATS, F), "end").view(np.uint8))
    region = _regions[_next % _REGIONS]
    _next += 1
    copy = region[region.size - values.size :].reshape(values.shape)
    copy[...] = values
    return copy


@dataclass
class QuantizedConv:
    """A convolution of byte positions without borders, on a grid of height x width."""

    rng: np.random.Generator
    weights: np.ndarray  # s8 (rows, channels of a group, taps)
    kernel: tuple[int, int] = (1, 1)
    groups: int = 1
    dilation: tuple[int, int] = (1, 1)
    stride: int = 1
    size: tuple[int, int] = (1, 4)
    pad: int = 0  # vectors between positions
    input_zero_point: int = 0
    unsigned: bool = False  # weights stored as u8 with a zero point of 128
    x: np.ndarray = field(init=False)
    bias: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.x = self.rng.integers(0, 256, (*self.size, self.channels, LANES), np.uint8)
        self.bias = self.rng.integers(-5000, 5000, self.rows, np.int32)

    @property
    def rows(self) -> int:
        return self.weights.shape[0]

    @property
    def channels(self) -> int:
        return self.groups * self.weights.shape[1]

    @property
    def position(self) -> int:
        """Vectors from one position to the next."""
        return vectors(self.channels) + self.pad

    def at(self, row: int, column: int, vector: int = 0) -> int:
        return ((row * self.size[1] + column) * self.position + vector) * LANES

    def outputs(self) -> list[tuple[int, int]]:
        reach = [(k - 1) * d for k, d in zip(self.kernel, self.dilation, strict=True)]
        rows, columns = ((s - 1 - r) // self.stride + 1 for s, r in zip(self.size, reach, strict=True))
        return [(r * self.stride, c * self.stride) for r in range(rows) for c in range(columns)]

    def taps(self) -> list[tuple[int, int]]:
        return [
            (r * self.dilation[0], c * self.dilation[1]) for r in range(self.kernel[0]) for c in range(self.kernel[1])
        ]

    def sums(self) -> np.ndarray:
        """[position, row, lane] in int64."""
        x = self.x.astype(np.int64) - self.input_zero_point
        grouped = x.reshape(*self.size, self.groups, -1, LANES)
        weights = self.weights.astype(np.int64).reshape(self.groups, -1, *self.weights.shape[1:])
        out = [
            sum(
                np.einsum("grc,gcl->grl", weights[..., t], grouped[r + dr, c + dc])
                for t, (dr, dc) in enumerate(self.taps())
            )
            for r, c in self.outputs()
        ]
        return np.array(out).reshape(len(out), self.rows, LANES) + self.bias[:, None]

    def layer(self, multiplier: np.ndarray | None = None, **more: Any) -> Any:
        stored = (
            (self.weights.astype(np.int64) + 128).astype(np.uint8) if self.unsigned else self.weights.view(np.uint8)
        )
        zeros = np.full(1, 128, np.uint8) if self.unsigned else None
        options = {"bias": self.bias, "input_zero_point": self.input_zero_point, "multiplier": multiplier} | more
        return q.Layer(stored, not self.unsigned, zeros, self.groups, self.kernel, **options)

    def input_lanes(self) -> np.ndarray:
        buffer = aligned((*self.size, self.position, LANES))
        buffer.view(np.uint8)[...] = 171
        buffer[:, :, : vectors(self.channels)] = to_byte_lanes(self.x, pad=99)
        return buffer.reshape(-1)


def weights_of(rng: np.random.Generator, shape: tuple[int, int, int], density: float, extreme: bool) -> np.ndarray:
    values = (
        rng.choice(np.array([-128, -127, 127], np.int8), shape) if extreme else rng.integers(-128, 128, shape, np.int8)
    )
    values[rng.random(shape) >= density] = 0
    return values


@st.composite
def convs(draw: st.DrawFn, kind: str) -> QuantizedConv:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = draw(st.sampled_from([(1, 1), (1, 1), (3, 3), (1, 3), (3, 1), (2, 2), (5, 5)]))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    depthwise = kind == "depthwise"
    groups = draw(st.integers(1, 40)) if depthwise else draw(st.integers(1, 3)) if kind == "spmm" else 1
    rows = groups * (1 if depthwise else draw(st.sampled_from([1, 2, 3, 5, 16, 19])))
    channels = 1 if depthwise else draw(st.sampled_from([1, 2, 3, 4, 7, 16, 41]))
    shape = (rows, channels, kernel[0] * kernel[1])
    weights = weights_of(rng, shape, draw(st.sampled_from([0.0, 0.05, 0.3, 1.0])), draw(st.booleans()))
    most = (7 if depthwise else 2, 9)
    size = tuple((k - 1) * d + draw(st.integers(1, n)) for k, d, n in zip(kernel, dilation, most, strict=True))
    stride, pad = draw(st.integers(1, 2)), draw(st.integers(0, 2))
    zero_point = draw(st.sampled_from([0, 1, 114, 128, 255]))
    unsigned = draw(st.booleans())
    return QuantizedConv(rng, weights, kernel, groups, dilation, stride, (size[0], size[1]), pad, zero_point, unsigned)


def spread(rng: np.random.Generator, acc: np.ndarray) -> np.ndarray:
    """Multipliers [row] that put most sums inside the byte range; some are powers of two, which make ties."""
    size = np.abs(acc).max(axis=(0, 2)) + 1.0
    multiplier = 200 / size * rng.uniform(0.2, 3, len(size))
    ties = rng.random(len(size)) < 0.4
    return np.where(ties, 2.0 ** np.round(np.log2(multiplier)), multiplier).astype(F)


@dataclass
class ByteCase:
    """A layer with bytes as output, and the bytes it must give."""

    conv: QuantizedConv
    multiplier: np.ndarray
    output: Any
    residual: np.ndarray | None
    want: np.ndarray  # [position, row, lane]


@st.composite
def byte_cases(draw: st.DrawFn, kind: str) -> ByteCase:
    conv = draw(convs(kind))
    acc = conv.sums()
    multiplier = spread(conv.rng, acc)
    zero_point = draw(st.sampled_from([0, 3, 128, 255]))
    want = requantized(acc, multiplier[:, None], zero_point)
    residual = sums = None
    residual_is_a = draw(st.booleans())
    if draw(st.booleans()):
        sign = draw(st.sampled_from([0, 128]))
        ratios = tuple(
            float(F(v)) for v in (*conv.rng.choice([0.5, 0.25, 0.731, 1.37, 1e6], 2), conv.rng.normal(0, 60))
        )
        residual = conv.rng.integers(0, 256, acc.shape, np.uint8)
        sums = (*ratios, sign)
        first, second = (residual, want) if residual_is_a else (want, residual)
        want = summed(first, second, ratios, sign)
    lookup = None
    if draw(st.booleans()):
        lookup = conv.rng.integers(0, 256, 256, np.uint8)
        want = lookup[want]
    output = q.Output(q.Form.bytes, zero_point, sum=sums, residual_is_a=residual_is_a, lookup=lookup)
    return ByteCase(conv, multiplier, output, residual, want)


def run(kind: str, conv: QuantizedConv, level: str, output: Any, multiplier: np.ndarray, **options: Any) -> np.ndarray:
    """[position, rows or vectors, lane] float32 bits, of one kind of kernel; options: tile, chunk, split, residual."""
    layer = conv.layer(multiplier)
    places = conv.outputs()
    taps = [conv.at(r, c) for r, c in conv.taps()]
    if kind == "spmm":
        packed = q.Spmm(layer, conv.dilation[1], conv.position, options.get("chunk", 64), q.splits_pairs(level))
        distances = [
            conv.at(r * conv.dilation[0], c * conv.dilation[1], channel // 4) for r, c, channel in packed.origins
        ]
    elif kind == "dense":
        packed = q.Dense(layer)
        distances = [tap + v * LANES for tap in taps for v in range(vectors(conv.channels))]
    else:
        packed = q.Depthwise(layer)
        distances = taps
    floats = options.get("floats", False)
    units = conv.rows if floats else vectors(conv.rows)
    y = options.get("y")
    if y is None:
        y = aligned((len(places), units, LANES))
    at = [i * units * LANES for i in range(len(places))]
    residual = options.get("residual")
    added = None if residual is None else (residual.reshape(-1), at)
    inputs = (conv.input_lanes(), [conv.at(r, c) for r, c in places])
    cut = min(options.get("split", packed.blocks), packed.blocks)
    for begin, end in ((0, cut), (cut, packed.blocks)):
        packed.run(level, begin, end, distances, inputs, (y.reshape(-1), at), added, output, options.get("tile", 8))
    return y
