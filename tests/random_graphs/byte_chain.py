"""A chain of byte operators as it is drawn: values of bytes, the numbers that quantize them, weights.

Weights are so small that onnxruntime's kernels do not saturate on CPUs without VNNI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import helper, numpy_helper

Draw = st.DrawFn
MICROSOFT = "com.microsoft"
ZEROS = {np.uint8: [0, 3, 128, 255], np.int8: [0, 7, -128]}


@dataclass
class Bytes:
    name: str
    shape: tuple[int, ...]
    scale: float
    zero: int
    dtype: Any

    def named(self, name: str, shape: Sequence[int] | None = None) -> Bytes:
        """What only moves bytes makes of them."""
        return replace(self, name=name, shape=self.shape if shape is None else tuple(shape))


class Chain:
    """One graph; every method returns what it made."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.random = np.random.default_rng(draw(st.integers(0, 999)))
        self.dtype: Any = draw(st.sampled_from([np.uint8, np.uint8, np.int8]))
        self.feed: dict[str, np.ndarray] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []

    def constant(self, array: Any, dtype: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array).astype(dtype), name))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def random_bytes(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        return self.random.integers(low, high + 1, shape).astype(dtype)

    def numbers(self, dtype: Any) -> tuple[float, int]:
        """A scale and a zero point."""
        return self.draw(st.sampled_from([0.02, 0.05, 0.11])), self.draw(st.sampled_from(ZEROS[dtype]))

    def parameters(self, scale: float, zero: int, dtype: Any) -> list[str]:
        return [self.constant(scale, np.float32), self.constant(zero, dtype)]

    def sides(self, *values: Bytes) -> list[str]:
        """Name, scale and zero point of each."""
        return [name for v in values for name in (v.name, *self.parameters(v.scale, v.zero, v.dtype))]

    def input(self, shape: tuple[int, ...], dtype: Any) -> Bytes:
        name = f"input_{len(self.inputs)}"
        dims = [f"{name}_{axis}" if self.draw(st.integers(0, 2)) == 0 else size for axis, size in enumerate(shape)]
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.inputs.append(helper.make_tensor_value_info(name, element, dims))
        self.feed[name] = self.random_bytes(shape, dtype)
        return Bytes(name, shape, *self.numbers(dtype), dtype)

    def emit(self, kind: str, inputs: Sequence[str], count: int = 1, **attributes: Any) -> str:
        """The first of the outputs."""
        name = f"{kind}_{len(self.nodes)}"
        outputs = [name, *(f"{name}_{i}" for i in range(1, count))]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, name=name, **attributes))
        return name

    def quantized(
        self,
        kind: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        dtype: Any,
        last: Sequence[str] = (),
        **attributes: Any,
    ) -> Bytes:
        """A node with the scale and zero point of its result behind these inputs. last: what it has behind them."""
        scale, zero = self.numbers(dtype)
        name = self.emit(kind, [*inputs, *self.parameters(scale, zero, dtype), *last], **attributes)
        return Bytes(name, tuple(shape), scale, zero, dtype)

    def dequantized(self, x: Bytes) -> str:
        return self.emit("DequantizeLinear", self.sides(x))

    def weight(self, shape: tuple[int, ...], x: Any, axis: int, per_channel: bool = True) -> list[str]:
        """Values, scale and zero point, one for all or one a channel of this axis. x: the type of what they multiply."""
        dtype = self.draw(st.sampled_from([np.int8, np.int8, np.uint8])) if x is np.uint8 else np.int8
        zero = self.draw(st.sampled_from([0, 0, 0, 5, -20] if dtype is np.int8 else [128, 128, 113, 70]))
        values = self.random.integers(-60, 61, shape) - (zero if dtype is np.int8 else 0)  # as stored it is that small
        values[self.random.random(shape) < self.draw(st.sampled_from([0.5, 0.9, 1.0]))] = 0
        count = [shape[axis]] if per_channel and self.draw(st.booleans()) else []
        scales = self.random.uniform(0.005, 0.015, count)
        return [
            self.constant(values + zero, dtype),
            self.constant(scales, np.float32),
            self.constant(np.full(count, zero), dtype),
        ]

    def operand(self, x: Bytes) -> Bytes:
        """Of a binary operator with x: x itself, or bytes that are broadcast along any of its axes."""
        kind = self.draw(st.sampled_from(["itself", "constant", "constant", "input"]))
        if kind == "itself":
            return x
        kept = [size if self.draw(st.booleans()) else 1 for size in x.shape]
        shape = tuple(kept[self.draw(st.integers(0, len(kept))) :])
        if kind == "input":
            return self.input(shape, x.dtype)
        return Bytes(self.constant(self.random_bytes(shape, x.dtype), x.dtype), shape, *self.numbers(x.dtype), x.dtype)
