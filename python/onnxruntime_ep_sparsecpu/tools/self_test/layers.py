"""The kernels of layers: a 1x3 window over a line of positions, and few rows of a matrix product."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from onnxruntime_ep_sparsecpu import _native
from onnxruntime_ep_sparsecpu.tools.self_test.operands import (
    LANES,
    Array,
    Case,
    F,
    aligned,
    channel_bytes,
    random_byte_lanes,
    random_bytes,
    random_floats,
)

_TAPS = 3
kernels = _native.kernels
q = kernels.quantized


class Layer:
    """Random weights, about a third of them nonzero, and the places of inputs and outputs, for floats or bytes."""

    def __init__(self, rng: np.random.Generator, depthwise: bool = False, int8: bool = False) -> None:
        self.rng, self.int8 = rng, int8
        self.rows = int(rng.integers(1, 40))
        self.inputs = self.rows if depthwise else int(rng.integers(1, 50))
        self.positions = int(rng.integers(1, 20))
        self.groups = self.rows if depthwise else 1
        shape = (self.rows, self.inputs // self.groups, _TAPS)
        keep = rng.random(shape) < 0.3
        self.bias = rng.standard_normal(self.rows).astype(F)
        self.weights: Array
        if int8:
            self.weights = np.where(keep, rng.integers(-128, 128, shape), 0).astype(np.int8).view(np.uint8)
            self.x = random_byte_lanes(rng, self.positions + _TAPS - 1, self.vectors)
        else:
            self.weights = np.where(keep, rng.standard_normal(shape), 0).astype(F)
            self.x = random_floats(rng, self.positions + _TAPS - 1, self.inputs, LANES)

    @property
    def vectors(self) -> int:
        """Of one input position."""
        return -(-self.inputs // 4) if self.int8 else self.inputs

    @property
    def native(self) -> Any:
        if not self.int8:
            return kernels.Layer(self.weights, groups=self.groups, kernel=(1, _TAPS), bias=self.bias)
        bias = (1000 * self.bias).astype(np.int32)
        multiplier = self.rng.uniform(1e-3, 1e-2, self.rows).astype(F)
        return q.Layer(self.weights, True, None, self.groups, (1, _TAPS), bias, 7, False, multiplier)

    def distance(self, tap: int, channel: int = 0) -> int:
        return (tap * self.vectors + (channel // 4 if self.int8 else channel)) * LANES

    def origins(self, packed: Any) -> list[int]:
        return [self.distance(column, channel) for _, column, channel in packed.origins]

    def every_vector(self) -> list[int]:
        return [self.distance(t) + v * LANES for t in range(_TAPS) for v in range(self.vectors)]

    def run(self, packed: Any, level: str, units: int, distances: list[int]) -> Array:
        outputs = -(-self.rows // 4) if self.int8 else self.rows
        y = aligned(self.positions, outputs, LANES)
        x_at = [p * self.vectors * LANES for p in range(self.positions)]
        y_at = [p * outputs * LANES for p in range(self.positions)]
        flat_x, flat_y, tile = self.x.reshape(-1), y.reshape(-1), int(self.rng.integers(1, 9))
        if self.int8:
            output = q.Output(q.Form.bytes, 3)
            packed.run(level, 0, units, distances, (flat_x, x_at), (flat_y, y_at), None, output, tile)
            return channel_bytes(y, self.rows)
        inputs, outs = kernels.Positions(flat_x, x_at), kernels.Positions(flat_y, y_at)
        packed.run(level, 0, units, distances, inputs, outs, None, (0.0, math.inf), tile)
        return y


def _spmm(level: str, rng: np.random.Generator, int8: bool = False) -> Array:
    layer = Layer(rng, int8=int8)
    shape = (1, layer.vectors, int(rng.integers(1, 70)))
    packed = q.Spmm(layer.native, *shape, q.splits_pairs(level)) if int8 else kernels.Spmm(layer.native, *shape)
    return layer.run(packed, level, packed.blocks, layer.origins(packed))


def _dense(level: str, rng: np.random.Generator, int8: bool = False) -> Array:
    layer = Layer(rng, int8=int8)
    packed = (q if int8 else kernels).Dense(layer.native)
    return layer.run(packed, level, packed.blocks, layer.every_vector())


def _depthwise(level: str, rng: np.random.Generator, int8: bool = False) -> Array:
    layer = Layer(rng, depthwise=True, int8=int8)
    packed = (q if int8 else kernels).Depthwise(layer.native)
    units = packed.blocks if int8 else layer.rows
    return layer.run(packed, level, units, [layer.distance(tap) for tap in range(_TAPS)])


def _jit_spmm(level: str, rng: np.random.Generator) -> Array:
    """Generated code, but for level "scalar": the kernel without."""
    layer = Layer(rng)
    if level == "scalar":
        stream = kernels.Spmm(layer.native, 1, layer.vectors, 64)
        return layer.run(stream, level, stream.blocks, layer.origins(stream))
    y = aligned(layer.positions, layer.rows, LANES)
    x_at, y_at = ([p * n * LANES for p in range(layer.positions)] for n in (layer.vectors, layer.rows))
    packed = kernels.Jit(layer.native, 1, layer.vectors, (0.0, math.inf))
    inputs, outs = kernels.Positions(layer.x.reshape(-1), x_at), kernels.Positions(y.reshape(-1), y_at)
    packed.run(0, packed.blocks, [0], inputs, outs, None)
    return y


def _jit_spmm_int8(level: str, rng: np.random.Generator) -> Array:
    layer = Layer(rng, int8=True)
    if level == "scalar":
        stream = q.Spmm(layer.native, 1, layer.vectors, 64, False)
        return layer.run(stream, level, stream.blocks, layer.origins(stream))
    y = aligned(layer.positions, -(-layer.rows // 4), LANES)
    packed = q.Jit(layer.native, 1, layer.vectors, q.JitFinish.bytes, False)
    grid = q.JitGrid(1, layer.positions, 0, layer.vectors * LANES)
    output = q.Output(q.Form.bytes, 3)
    packed.run([0], grid, layer.x.reshape(-1), y.reshape(-1), None, output, layer.rows)
    return channel_bytes(y, layer.rows)


def generated_code(level: str) -> dict[str, Case]:
    """Generated code of the levels that have it."""
    cases: dict[str, Case] = {"jit spmm": _jit_spmm} if kernels.jit_available(level) else {}
    return cases | ({"jit spmm int8": _jit_spmm_int8} if q.jit_available(level) else {})


def _few_rows(level: str, rng: np.random.Generator, int8: bool = False) -> Array:
    rows, k, m = (int(n) for n in rng.integers(1, (60, 300, 9)))
    keep = rng.random((rows, k, 1)) < 0.3
    sparse = bool(rng.integers(2))
    if not int8:
        weights = np.where(keep, rng.standard_normal(keep.shape), 0).astype(F)
        y = np.zeros((m, rows), F)
        packed = kernels.FewRows(kernels.Layer(weights), sparse)
        packed.run(level, 0, rows, rng.standard_normal((m, k)).astype(F), y, None, (0.0, math.inf))
        return y
    bytes_ = np.where(keep, rng.integers(-128, 128, keep.shape), 0).astype(np.int8).view(np.uint8)
    out = np.zeros((m, rows), np.uint8)
    layer = q.Layer(bytes_, input_zero_point=9, multiplier=rng.uniform(1e-3, 1e-2, rows).astype(F))
    q.FewRows(layer, sparse).run(level, 0, rows, random_bytes(rng, m, k), out, None, q.Output(q.Form.bytes, 100))
    return out


def _int8(case: Callable[..., Array]) -> Case:
    return lambda level, rng: case(level, rng, int8=True)


LAYERS: Mapping[str, Case] = {
    "spmm": _spmm,
    "dense": _dense,
    "depthwise": _depthwise,
    "few_rows": _few_rows,
    "quantized.spmm": _int8(_spmm),
    "quantized.dense": _int8(_dense),
    "quantized.depthwise": _int8(_depthwise),
    "quantized.few_rows": _int8(_few_rows),
}
