"""A grammar of chains of byte operators of any rank, whose constants and second operands lie along any axes.

Weights are so small that onnxruntime's kernels do not saturate on CPUs without VNNI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from hypothesis import assume
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from subject import Subject

Draw = st.DrawFn
MICROSOFT = "com.microsoft"


@dataclass
class Bytes:
    name: str
    shape: tuple[int, ...]
    scale: float
    zero: int


class Chain:
    """One graph of one byte type; every method returns what it made."""

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

    def random_bytes(self, shape: tuple[int, ...]) -> np.ndarray:
        low, high = np.iinfo(self.dtype).min, np.iinfo(self.dtype).max
        return self.random.integers(low, high + 1, shape).astype(self.dtype)

    def numbers(self) -> tuple[float, int]:
        """A scale and a zero point."""
        zeros = [0, 3, 128, 255] if self.dtype is np.uint8 else [0, 7, -128]
        return self.draw(st.sampled_from([0.02, 0.05, 0.11])), self.draw(st.sampled_from(zeros))

    def parameters(self, scale: float, zero: int) -> list[str]:
        return [self.constant(scale, np.float32), self.constant(zero, self.dtype)]

    def sides(self, *values: Bytes) -> list[str]:
        """Name, scale and zero point of each."""
        return [name for v in values for name in (v.name, *self.parameters(v.scale, v.zero))]

    def input(self, shape: tuple[int, ...]) -> Bytes:
        name = f"input_{len(self.inputs)}"
        dims = [f"{name}_{axis}" if self.draw(st.integers(0, 2)) == 0 else size for axis, size in enumerate(shape)]
        element = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        self.inputs.append(helper.make_tensor_value_info(name, element, dims))
        self.feed[name] = self.random_bytes(shape)
        return Bytes(name, shape, *self.numbers())

    def emit(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def quantized(self, kind: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> Bytes:
        """A node whose last inputs are the scale and zero point of its result."""
        scale, zero = self.numbers()
        name = self.emit(kind, [*inputs, *self.parameters(scale, zero)], **attributes)
        return Bytes(name, shape, scale, zero)

    def weight(self, shape: tuple[int, ...]) -> list[str]:
        values = self.random.integers(-60, 61, shape)
        values[self.random.random(shape) < self.draw(st.sampled_from([0.5, 0.9, 1.0]))] = 0
        return [self.constant(values, np.int8), self.constant(0.01, np.float32), self.constant(0, np.int8)]

    def operand(self, x: Bytes) -> Bytes:
        """Of a binary operator with x: x itself, or bytes that are broadcast along any of its axes."""
        kind = self.draw(st.sampled_from(["itself", "constant", "constant", "input"]))
        if kind == "itself":
            return x
        kept = [size if self.draw(st.booleans()) else 1 for size in x.shape]
        shape = tuple(kept[self.draw(st.integers(0, len(kept))) :])
        if kind == "input":
            return self.input(shape)
        return Bytes(self.constant(self.random_bytes(shape), self.dtype), shape, *self.numbers())


def binary(c: Chain, x: Bytes) -> Bytes:
    sides = [x, c.operand(x)]
    if c.draw(st.booleans()):
        sides.reverse()
    kind = c.draw(st.sampled_from(["QLinearAdd", "QLinearMul"]))
    return c.quantized(kind, c.sides(*sides), x.shape, domain=MICROSOFT)


def product(c: Chain, x: Bytes) -> Bytes:
    if len(x.shape) < 2:
        return x
    columns = c.draw(st.integers(1, 24))
    weight = c.weight((x.shape[-1], columns))
    return c.quantized("QLinearMatMul", [*c.sides(x), *weight], (*x.shape[:-1], columns))


def convolution(c: Chain, x: Bytes) -> Bytes:
    if len(x.shape) < 3:
        return x
    spatial = len(x.shape) - 2
    kernel, rows = c.draw(st.sampled_from([1, 3])), c.draw(st.integers(1, 24))
    inputs = [*c.sides(x), *c.weight((rows, x.shape[1], *[kernel] * spatial))]
    scale, zero = c.numbers()
    inputs += c.parameters(scale, zero)
    if c.draw(st.booleans()):
        inputs.append(c.constant(c.random.integers(-500, 500, rows), np.int32))
    pads = [c.draw(st.integers(0, kernel)) for _ in range(2 * spatial)]
    sizes = [size + pads[i] + pads[i + spatial] - kernel + 1 for i, size in enumerate(x.shape[2:])]
    if min(sizes) < 1:
        pads, sizes = [kernel // 2] * 2 * spatial, x.shape[2:]
    return Bytes(c.emit("QLinearConv", inputs, pads=pads), (x.shape[0], rows, *sizes), scale, zero)


def unary(c: Chain, x: Bytes) -> Bytes:
    kind = c.draw(st.sampled_from(["QLinearLeakyRelu", "QLinearSigmoid"]))
    attributes = {"alpha": 0.1} if kind == "QLinearLeakyRelu" else {}
    return c.quantized(kind, c.sides(x), x.shape, domain=MICROSOFT, **attributes)


def pool(c: Chain, x: Bytes) -> Bytes:
    if len(x.shape) != 4:
        return x
    kind = c.draw(st.sampled_from(["MaxPool", "QLinearAveragePool", "QLinearGlobalAveragePool"]))
    if kind == "QLinearGlobalAveragePool":
        return c.quantized(kind, c.sides(x), (*x.shape[:2], 1, 1), domain=MICROSOFT)
    window = {"kernel_shape": [3, 3], "pads": [1] * 4}
    if kind == "MaxPool":
        return Bytes(c.emit(kind, [x.name], **window), x.shape, x.scale, x.zero)
    return c.quantized(kind, c.sides(x), x.shape, domain=MICROSOFT, **window)


def concat(c: Chain, x: Bytes) -> Bytes:
    axis = c.draw(st.integers(0, len(x.shape) - 1))
    shape = tuple(size * (2 if i == axis else 1) for i, size in enumerate(x.shape))
    if c.draw(st.booleans()):
        return Bytes(c.emit("Concat", [x.name, x.name], axis=axis), shape, x.scale, x.zero)
    other = c.input(x.shape)
    scale, zero = c.numbers()
    inputs = [*c.parameters(scale, zero), *c.sides(x, other)]
    return Bytes(c.emit("QLinearConcat", inputs, domain=MICROSOFT, axis=axis), shape, scale, zero)


def reorder(c: Chain, x: Bytes) -> Bytes:
    kind = c.draw(st.sampled_from(["Transpose", "Flatten", "Reshape"]))
    if kind == "Transpose":
        order = c.draw(st.permutations(range(len(x.shape))))
        shape = tuple(x.shape[i] for i in order)
        return Bytes(c.emit(kind, [x.name], perm=list(order)), shape, x.scale, x.zero)
    if kind == "Flatten":
        shape = (x.shape[0], int(np.prod(x.shape[1:])))
        return Bytes(c.emit(kind, [x.name], axis=1), shape, x.scale, x.zero)
    shape = c.draw(st.sampled_from([(*x.shape, 1), (1, *x.shape), (int(np.prod(x.shape[:-1])), x.shape[-1])]))
    if len(shape) > 4:
        return x
    return Bytes(c.emit(kind, [x.name, c.constant(shape, np.int64)]), shape, x.scale, x.zero)


def unit(c: Chain, x: Bytes) -> Bytes:
    """DequantizeLinear, an operator of floats, QuantizeLinear."""
    floats = c.emit("DequantizeLinear", c.sides(x))
    kinds = ["Relu", "Sigmoid", "Add", "Mul", "Softmax", "HardSwish", "Concat", "Flatten"]
    kinds += ["MatMul"] if len(x.shape) > 1 else []
    kinds += ["MaxPool", "AveragePool", "GlobalAveragePool", "Resize"] if len(x.shape) == 4 else []
    kind = c.draw(st.sampled_from(kinds))
    shape, inputs, attributes = x.shape, [floats], {}
    if kind in ("Add", "Mul"):
        inputs.append(c.emit("DequantizeLinear", c.sides(c.operand(x))))
    elif kind == "MatMul":
        shape = (*x.shape[:-1], c.draw(st.integers(1, 24)))
        inputs.append(c.emit("DequantizeLinear", c.weight((x.shape[-1], shape[-1]))))
    elif kind == "Concat":
        inputs, attributes, shape = [floats, floats], {"axis": len(shape) - 1}, (*shape[:-1], 2 * shape[-1])
    elif kind == "Flatten":
        shape = (shape[0], int(np.prod(shape[1:])))
    elif kind in ("MaxPool", "AveragePool"):
        attributes = {"kernel_shape": [3, 3], "pads": [1] * 4}
    elif kind == "GlobalAveragePool":
        shape = (*shape[:2], 1, 1)
    elif kind == "Resize":
        inputs += ["", c.constant([1, 1, 2, 2], np.float32)]
        attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        shape = (*shape[:2], 2 * shape[2], 2 * shape[3])
    return c.quantized("QuantizeLinear", [c.emit(kind, inputs, **attributes)], shape)


Rule = Callable[[Chain, Bytes], Bytes]
LAYERS: list[Rule] = [product, convolution]
EXACT: list[Rule] = [*LAYERS, binary, binary, binary, unary, pool, concat, reorder]


@st.composite
def byte_chains(draw: Draw) -> Subject:
    """QLinear operators alone, whose bits are the CPU provider's; or a few of them with a QDQ unit among them. One of
    them has weights. An operator reads one of the last results, and those that nobody reads are outputs, or dead."""
    c = Chain(draw)
    rank = draw(st.sampled_from([2, 3, 3, 4, 4]))
    made = [c.input(tuple(draw(st.integers(1, 17 if rank < 4 else 9)) for _ in range(rank)))]
    with_unit = draw(st.integers(0, 3)) == 0
    rules = draw(st.lists(st.sampled_from(EXACT), min_size=1, max_size=2 if with_unit else 6))
    layer, others = draw(st.sampled_from(LAYERS)), [unit] if with_unit else []
    for rule in draw(st.permutations([*rules, layer, *others])):
        x = draw(st.sampled_from([made[-1], made[-1], *made[-3:]]))
        if int(np.prod(x.shape)) < 30_000:
            made.append(rule(c, x))
    assume(c.nodes)
    read = {name for node in c.nodes for name in node.input}
    ends = [x.name for x in made[1:] if x.name not in read and x.name in {n for node in c.nodes for n in node.output}]
    outputs = ends if draw(st.booleans()) else [draw(st.sampled_from(ends))]
    infos = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(outputs)]
    graph = helper.make_graph(c.nodes, "bytes", c.inputs, infos, c.constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return Subject(model, [c.feed], steps=2 if with_unit else 0)
