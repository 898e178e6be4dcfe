"""QLinearAdd and QLinearMul with a constant vector or a broadcast operand: the order of their roundings is that of the
operands, which onnxruntime exchanges where the first is one number to each row of pixels. All pairs of bytes are tried."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from byte_models import S8, U8, Array, ByteGraph, exact, limits, random_bytes

Numbers = tuple[float, int]
# (a, b, y): with the first, a + b and b + a differ.
SCALES: list[tuple[Numbers, Numbers, Numbers]] = [
    ((0.05, 3), (0.5, 0), (0.5, 0)),
    ((0.021, 40), (0.055, 17), (0.06, 20)),
    ((1 / 3, 100), (0.1, -5), (0.25, 7)),
]
both_types = pytest.mark.parametrize("dtype", [U8, S8], ids=["u8", "s8"])
both_orders = pytest.mark.parametrize("first", [False, True], ids=["second", "first"])
both_operators = pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])


def fit(numbers: Numbers, dtype: Any) -> Numbers:
    return numbers[0], int(np.clip(numbers[1], *limits(dtype)))


def every(dtype: Any) -> Array:
    return np.arange(limits(dtype)[0], limits(dtype)[1] + 1).astype(dtype)


def identity(g: ByteGraph, x: str, channels: int, numbers: Numbers, dtype: Any, image: bool) -> str:
    """A layer that gives its input."""
    w = np.eye(channels)
    parameters = g.numbers(*numbers, dtype)
    weights = (g.constant(w[:, :, None, None] if image else w, S8), *g.numbers(1.0, 0, S8))
    return str(g.op("QLinearConv" if image else "QLinearMatMul", x, *parameters, *weights, *parameters))


def total(
    g: ByteGraph, op: str, layer: str, other: str, numbers: tuple[Numbers, Numbers, Numbers], dtype: Any, first: bool
) -> str:
    """layer op other; first: other op layer."""
    sides = [(layer, *g.numbers(*numbers[0], dtype)), (other, *g.numbers(*numbers[1], dtype))]
    if first:
        sides.reverse()
    scale, zero = numbers[2]
    return g.microsoft(op, *sides[0], *sides[1], *g.numbers(scale * (20 if op == "QLinearMul" else 1), zero, dtype))


SHAPES: dict[str, tuple[int, ...]] = {
    "image": (1, 256, 16, 16),
    "1x1 images": (256, 256, 1, 1),
    "tokens": (256, 256),
    "one token": (1, 256),
    "7 tokens": (1, 7, 256),
}


@both_types
@both_orders
@both_operators
@pytest.mark.parametrize("standalone", [False, True], ids=["in the layer", "by itself"])
@pytest.mark.parametrize("shape", SHAPES)
def test_constant_vector(shape: str, standalone: bool, op: str, first: bool, dtype: Any) -> None:
    """One constant a channel, next to every byte (or a few, for a few tokens)."""
    size = SHAPES[shape]
    image = len(size) == 4
    for numbers in SCALES:
        numbers = (fit(numbers[0], dtype), fit(numbers[1], dtype), fit(numbers[2], dtype))
        g = ByteGraph()
        layer = identity(g, g.input("x", size, dtype), 256, numbers[0], dtype, image)
        constant = g.constant(every(dtype).reshape((1, 256, 1, 1) if image else (256,)), dtype)
        y = total(g, op, layer, constant, numbers, dtype, first)
        x = random_bytes(g.random, size, dtype)
        if x.size == 256 * 256:
            x = np.ascontiguousarray(
                np.broadcast_to(every(dtype).reshape((1, 1, 16, 16) if shape == "image" else (256, *[1] * (len(size) - 1))), size)
            )  # fmt: skip
        exact(g.model({y: dtype, layer: dtype} if standalone else {y: dtype}), [{"x": x}], op)


@both_orders
@pytest.mark.parametrize("shape", [(1, 9, 3), (4, 9, 13), (3, 50)])
def test_dequantized_constant_vector(shape: tuple[int, ...], first: bool) -> None:
    g = ByteGraph()
    x, b, y = SCALES[1]
    layer = identity(g, g.input("x", shape), shape[-1], x, U8, False)
    sides = [g.dequantize(layer, *x), g.dequantize(g.constant(g.random.integers(0, 256, shape[-1]), U8), *b)]
    if first:
        sides.reverse()
    model = g.model({g.quantize(g.op("Add", *sides), *y): U8})
    exact(model, [{"x": random_bytes(g.random, shape)}], "Add")


@both_orders
@pytest.mark.parametrize("dims", [(), (1,), (1, 1), (1, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("size", [("n", "h", "w"), (256, 1, 1), (1, 16, 16), (1, 256, 1)], ids=str)
def test_constant_number(size: tuple[Any, ...], dims: tuple[int, ...], first: bool) -> None:
    """Which operand leads depends on the run's sizes, and on the rank of the constant."""
    g = ByteGraph()
    n, h, w = size
    layer = identity(g, g.input("x", [n, 1, h, w]), 1, SCALES[0][0], U8, True)
    z = total(g, "QLinearAdd", layer, g.constant(np.full(dims, 17), U8), SCALES[0], U8, first)
    sizes = [(256, 1, 1), (1, 16, 16), (4, 64, 1), (4, 1, 64)] if n == "n" else [size]
    feeds = [{"x": every(U8).reshape(s[0], 1, *s[1:])} for s in sizes]
    if n == "n":
        feeds += [{"x": np.full((1, 1, 1, 1), q, U8)} for q in (0, 137, 138, 139, 255)]
    exact(g.model({z: U8}), feeds, "QLinearAdd")


def broadcast(sizes: tuple[Any, Any], op: str, first: bool, layer_is_small: bool) -> onnx.ModelProto:
    """A whole image x op one value a channel y, one of them made by a layer."""
    g = ByteGraph()
    x = g.input("x", ["n", 256, *sizes])
    y = g.input("y", ["n", 256, 1, 1])
    numbers = SCALES[0]
    if layer_is_small:
        layer, other = identity(g, y, 256, numbers[0], U8, True), x
    else:
        layer, other = identity(g, x, 256, numbers[0], U8, True), y
    return g.model({total(g, op, layer, other, numbers, U8, first): U8})


@both_orders
@both_operators
@pytest.mark.parametrize("layer_is_small", [False, True], ids=["layer's image", "layer's channels"])
@pytest.mark.parametrize("sizes", [("h", "w"), (16, 16), (1, 1)], ids=["symbolic", "16x16", "1x1"])
def test_broadcast_over_pixels(sizes: tuple[Any, Any], layer_is_small: bool, op: str, first: bool) -> None:
    """A map of 1x1 pixels is not broadcast, which only the run tells where its size is symbolic."""
    model = broadcast(sizes, op, first, layer_is_small)
    feeds = []
    if sizes[0] != 1:
        feeds.append(
            {"x": np.tile(every(U8).reshape(1, 1, 16, 16), (1, 256, 1, 1)), "y": every(U8).reshape(1, -1, 1, 1)}
        )
    if sizes[0] != 16:
        pairs = np.meshgrid(every(U8), every(U8), indexing="ij")
        feeds.append({"x": pairs[0][:, :, None, None], "y": pairs[1][:, :, None, None]})
    exact(model, feeds, op, "QLinearConv")
