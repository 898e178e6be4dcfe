"""Layers for the linear kernels' tests: weights in several memory orders, what they compute in float64, and inputs as
lane-blocked positions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lane_arrays import LANES, aligned, aligned_copy
from onnxruntime_ep_sparsecpu import _native

kernels = _native.kernels
NO_CLAMP = (-math.inf, math.inf)
EPSILON = 2.0**-24


def sparse_weights(rng: np.random.Generator, rows: int, channels: int, taps: int, density: float) -> np.ndarray:
    values = rng.standard_normal((rows, channels, taps)).astype(np.float32)
    values[rng.random(values.shape) >= density] = 0.0
    return values


def reordered(weights: np.ndarray, order: str) -> np.ndarray:
    """The same values with another memory order: axes of (rows, channels, taps), outermost first."""
    axes = ["rct".index(axis) for axis in order]
    return np.ascontiguousarray(weights.transpose(axes)).transpose(np.argsort(axes))


@dataclass
class Grid:
    """A lane-blocked input of height x width positions and what a convolution reads of it."""

    channels: int
    height: int
    width: int
    pad: int = 0  # vectors between positions
    values: np.ndarray = field(init=False)

    def fill(self, rng: np.random.Generator) -> Grid:
        self.values = aligned(self.height * self.width * self.position)
        self.values[:] = rng.standard_normal(self.values.shape)
        return self

    @property
    def position(self) -> int:
        return (self.channels + self.pad) * LANES

    def at(self, row: int, column: int, channel: int = 0) -> int:
        return (row * self.width + column) * self.position + channel * LANES

    def vector(self, row: int, column: int, channel: int) -> np.ndarray:
        start = self.at(row, column, channel)
        return self.values[start : start + LANES].astype(np.float64)


@dataclass
class Conv:
    """A convolution over a Grid without borders; groups and dilation included."""

    weights: np.ndarray  # (rows, channels of a group, taps)
    kernel: tuple[int, int] = (1, 1)
    groups: int = 1
    dilation: tuple[int, int] = (1, 1)
    stride: int = 1
    bias: np.ndarray | None = None

    @property
    def rows(self) -> int:
        return self.weights.shape[0]

    @property
    def in_channels(self) -> int:
        return self.groups * self.weights.shape[1]

    def output_positions(self, grid: Grid) -> list[tuple[int, int]]:
        height = (grid.height - 1 - (self.kernel[0] - 1) * self.dilation[0]) // self.stride + 1
        width = (grid.width - 1 - (self.kernel[1] - 1) * self.dilation[1]) // self.stride + 1
        return [(r * self.stride, c * self.stride) for r in range(height) for c in range(width)]

    def tap_offsets(self, grid: Grid) -> list[int]:
        return [
            grid.at(kr * self.dilation[0], kc * self.dilation[1])
            for kr in range(self.kernel[0])
            for kc in range(self.kernel[1])
        ]

    def layer(self, **more: Any) -> Any:
        return kernels.Layer(self.weights, groups=self.groups, kernel=self.kernel, bias=self.bias, **more)

    def input_matrix(self, grid: Grid) -> np.ndarray:
        """[position, group, channel, tap, lane] in float64."""
        channels = self.weights.shape[1]
        taps = [
            (r * self.dilation[0], c * self.dilation[1]) for r in range(self.kernel[0]) for c in range(self.kernel[1])
        ]
        return np.array(
            [
                [
                    [[grid.vector(r + dr, c + dc, g * channels + i) for dr, dc in taps] for i in range(channels)]
                    for g in range(self.groups)
                ]
                for r, c in self.output_positions(grid)
            ]
        )

    def reference(
        self, grid: Grid, residual: np.ndarray | None, clamp: tuple[float, float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """([position, row, lane] in float64, and the largest error that fp32 sums in any order may have)."""
        inputs = self.input_matrix(grid)
        weights = self.weights.astype(np.float64).reshape(self.groups, -1, *self.weights.shape[1:])
        shape = (inputs.shape[0], self.rows, LANES)
        out = np.einsum("grct,pgctl->pgrl", weights, inputs).reshape(shape)
        size = np.einsum("grct,pgctl->pgrl", np.abs(weights), np.abs(inputs)).reshape(shape)
        terms = self.weights.shape[1] * self.weights.shape[2] + 2
        if self.bias is not None:
            out += self.bias.astype(np.float64)[:, None]
            size += np.abs(self.bias)[:, None]
        if residual is not None:
            out += residual
            size += np.abs(residual)
        return np.clip(out, *clamp), (terms + 1) * EPSILON * size * 2 + 1e-30


def run_positions(packed: Any, level: str, conv: Conv, grid: Grid, distances: list[int], **options: Any) -> np.ndarray:
    """[position, row, lane]: what a packed layer's kernel makes of every output position of the grid.

    options: units (all), split (a unit where the range is cut), tile, residual [position, row, lane], in_place, clamp.
    """
    places = conv.output_positions(grid)
    residual: np.ndarray | None = options.get("residual")
    shape = (len(places), conv.rows, LANES)
    y = aligned_copy(residual) if options.get("in_place") and residual is not None else aligned(shape)
    at = [i * conv.rows * LANES for i in range(len(places))]
    out = kernels.Positions(y.reshape(-1), at)
    added = None
    if residual is not None:
        added = out if options.get("in_place") else kernels.Positions(aligned_copy(residual).reshape(-1), at)
    inputs = kernels.Positions(grid.values, [grid.at(r, c) for r, c in places])
    units = options["units"]
    cut = options.get("split", units)
    for begin, end in ((0, cut), (cut, units)):
        packed.run(
            level, begin, end, distances, inputs, out, added, options.get("clamp", NO_CLAMP), options.get("tile", 4)
        )
    return y
