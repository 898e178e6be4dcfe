"""Layers as matrix products: what a node's input looks like in rows, and its weight as matrices.

A weight of Conv is [groups, outputs of a group, columns] with the columns tap by tap, the input channels of a tap next
to one another; that of MatMul and Gemm is [1, outputs, inputs].
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from onnxruntime_ep_sparsecpu.magnitude import GROUP
from onnxruntime_ep_sparsecpu.tools.weights import attribute

Array = npt.NDArray[Any]

_BLOCK_ELEMENTS = 1 << 23  # of unfolded input at a time: 32 MiB


@dataclass(frozen=True)
class Product:
    """MatMul and Gemm: y = alpha * x @ w, either of them transposed."""

    input_transposed: bool
    weight_transposed: bool
    alpha: float = 1.0

    @property
    def orientation(self) -> Hashable:
        """Forms of one weight with the same of it make the same matrices."""
        return self.weight_transposed

    def matrices(self, weight: Array) -> Array:
        """[1, outputs, inputs] of a weight as the node takes it."""
        return np.expand_dims(weight if self.weight_transposed else weight.T, 0)

    def weight(self, matrices: Array, shape: tuple[int, ...]) -> Array:
        """The inverse of matrices; shape: of the weight as the node takes it."""
        rows: Array = matrices[0]
        return rows if self.weight_transposed else rows.T

    def channels(self, shape: tuple[int, ...]) -> int:
        """Columns that are neighbouring input channels: a multiple of it is how many columns there are."""
        return shape[1 if self.weight_transposed else 0]

    def rows(self, x: Array) -> Iterator[Array]:
        """x [..., inputs] (transposed: [..., inputs, m]) in blocks [1, rows, inputs]."""
        if self.input_transposed:
            x = np.swapaxes(x, -1, -2)
        flat = x.reshape(-1, x.shape[-1])
        step = max(_BLOCK_ELEMENTS // max(flat.shape[1], 1), 1)
        for begin in range(0, len(flat), step):
            yield flat[None, begin : begin + step]


@dataclass(frozen=True)
class Convolution:
    """Conv over any number of axes. pads: all begins, then all ends; auto_pad decides where it is not NOTSET."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    auto_pad: str
    groups: int
    alpha: float = 1.0

    @property
    def orientation(self) -> Hashable:
        return self.groups

    def matrices(self, weight: Array) -> Array:
        """[groups, outputs, taps * channels] of [groups * outputs, channels, *kernel]."""
        taps_first = np.moveaxis(weight, 1, -1)
        return taps_first.reshape(self.groups, weight.shape[0] // self.groups, -1)

    def weight(self, matrices: Array, shape: tuple[int, ...]) -> Array:
        """The inverse of matrices."""
        return np.moveaxis(matrices.reshape(shape[0], *shape[2:], shape[1]), -1, 1)

    def channels(self, shape: tuple[int, ...]) -> int:
        return shape[1]

    def rows(self, x: Array) -> Iterator[Array]:
        """x [n, groups * channels, *sizes] in blocks [groups, rows, taps * channels]: a row is an output position."""
        begins, ends = self._pads_for(x.shape[2:])
        padded = np.pad(x, [(0, 0), (0, 0), *zip(begins, ends, strict=True)])
        spans = tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))
        axes = tuple(range(2, x.ndim))
        if any(size < span for size, span in zip(padded.shape[2:], spans, strict=True)):
            return
        windows: Array = np.lib.stride_tricks.sliding_window_view(padded, spans, axes)
        steps = [slice(None, None, step) for step in (*self.strides, *self.dilations)]
        windows = windows[(slice(None), slice(None), *steps)]
        channels = x.shape[1] // self.groups
        line = prod(windows.shape[3:]) * x.shape[1]
        lines = max(_BLOCK_ELEMENTS // max(line, 1), 1)
        images = max(lines // max(windows.shape[2], 1), 1)
        for image in range(0, len(windows), images):
            for begin in range(0, windows.shape[2], lines):
                yield self._unfolded(windows[image : image + images, :, begin : begin + lines], channels)

    def _unfolded(self, windows: Array, channels: int) -> Array:
        """[images, groups * channels, *positions, *taps] as [groups, rows, taps * channels]."""
        split = windows.reshape(len(windows), self.groups, channels, *windows.shape[2:])
        last = np.moveaxis(split, (1, 2), (0, -1))
        return np.ascontiguousarray(last).reshape(self.groups, -1, prod(self.kernel) * channels)

    def _pads_for(self, sizes: tuple[int, ...]) -> tuple[list[int], list[int]]:
        """Before and behind each axis."""
        axes = len(sizes)
        if self.auto_pad in ("NOTSET", ""):
            return list(self.pads[:axes]), list(self.pads[axes:])
        if self.auto_pad == "VALID":
            return [0] * axes, [0] * axes
        geometry = zip(sizes, self.kernel, self.strides, self.dilations, strict=True)
        both = [max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0) for size, k, s, d in geometry]
        less, more = [total // 2 for total in both], [total - total // 2 for total in both]
        return (more, less) if self.auto_pad == "SAME_LOWER" else (less, more)


Form = Product | Convolution


def form_of(node: onnx.NodeProto, shape: tuple[int, ...]) -> Form | None:
    """shape: of the weight as the node takes it. None for a product that is none of two matrices."""
    if "Conv" in node.op_type:
        axes = len(shape) - 2
        if axes < 1:
            return None
        return Convolution(
            shape[2:],
            tuple(attribute(node, "strides", [1] * axes)),
            tuple(attribute(node, "dilations", [1] * axes)),
            tuple(attribute(node, "pads", [0] * 2 * axes)),
            attribute(node, "auto_pad", b"NOTSET").decode(),
            attribute(node, "group", 1),
        )
    if len(shape) != 2 or attribute(node, "transBatchA", 0) or attribute(node, "transBatchB", 0):
        return None
    transposed = [bool(attribute(node, name, 0)) for name in ("transA", "transB")]
    return Product(transposed[0], transposed[1], attribute(node, "alpha", 1.0))


def cell_starts(columns: int, channels: int, pattern: str) -> Array:
    """First columns of what is pruned as a whole: every column, or of every tap each four channels (the last of a tap
    may be fewer)."""
    if pattern == "unstructured":
        return np.arange(columns)
    return np.concatenate([tap + np.arange(0, channels, GROUP) for tap in range(0, columns, channels)])
