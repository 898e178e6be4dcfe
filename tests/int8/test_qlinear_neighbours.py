"""Quantized operators without weights, behind a QLinearConv: the CPU provider's bits on every level."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from byte_models import S8, U8, Array, ByteGraph, exact, near, random_bytes
from harness import nodes
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_models import POINTS
from random_checks import CHECKS, EXAMPLES

LAYER = (0.05, 3)  # scale and zero point of what ByteGraph.mix gives
Feeds = dict[str, Array]
Numbers = tuple[float, int]

both_types = pytest.mark.parametrize("dtype", [U8, S8], ids=["u8", "s8"])
SECONDS = ["same", "broadcast", "broadcast first", "fed first", "number", "number first", "itself"]


def binary(
    op: str,
    dtype: Any,
    second: str,
    shape: tuple[int, int, int, int],
    b: Numbers,
    y: Numbers,
    standalone: bool,
    seed: int,
) -> tuple[onnx.ModelProto, Feeds]:
    """layer(x) op y. standalone: the layer's bytes are an output, too, so that it cannot take the operator in."""
    g = ByteGraph(seed)
    feeds = {"x": random_bytes(g.random, shape, dtype)}
    layer = g.mix(g.input("x", shape, dtype), shape[1], dtype, LAYER)
    if second == "itself":
        other, b = layer, LAYER
    elif second.startswith("number"):
        other = g.constant(g.random.integers(*np.iinfo(dtype).max * np.array([0, 1]) + [0, 1]), dtype)
    else:
        small = (*shape[:2], 1, 1) if second.startswith("broadcast") else shape
        feeds["y"] = random_bytes(g.random, small, dtype)
        other = g.input("y", small, dtype)
    sides = [(layer, *g.numbers(*LAYER, dtype)), (other, *g.numbers(*b, dtype))]
    if second.endswith("first"):
        sides.reverse()
    z = g.microsoft(op, *sides[0], *sides[1], *g.numbers(*y, dtype))
    return g.model({z: dtype, layer: dtype} if standalone else {z: dtype}), feeds


@both_types
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("second", SECONDS)
@pytest.mark.parametrize("standalone", [False, True], ids=["residual", "standalone"])
def test_binary(op: str, dtype: Any, second: str, standalone: bool) -> None:
    for channels, b, y in ((8, (0.021, 40), (0.055, 17)), (5, (0.05, 3), (0.05, 3)), (18, (0.5, 0), (0.25, 100))):
        model, feeds = binary(op, dtype, second, (2, channels, 5, 6), b, y, standalone, channels)
        session = exact(model, [feeds], op, "QLinearConv")
        if op == "QLinearAdd" and second in ("same", "fed first"):
            assert len({node["region"] for node in nodes(session)}) == 1


@settings(CHECKS, max_examples=3 * EXAMPLES)
@given(data=st.data(), op=st.sampled_from(["QLinearAdd", "QLinearMul"]), dtype=st.sampled_from([U8, S8]))
def test_random_binary(data: st.DataObject, op: str, dtype: Any) -> None:
    draw = data.draw
    scale = st.one_of(st.sampled_from([0.5, 0.25, 0.05, 1 / 3]), st.floats(0.0078125, 0.25))
    point = st.sampled_from(POINTS[dtype])
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 20)), draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    b, y = (draw(scale), draw(point)), (draw(scale), draw(point))
    model, feeds = binary(
        op, dtype, draw(st.sampled_from(SECONDS)), shape, b, y, draw(st.booleans()), draw(st.integers(0, 99))
    )
    exact(model, [feeds], op)


@both_types
def test_every_pair_of_bytes(dtype: Any) -> None:
    """All 65536 sums and products at several scales: near ties are among them."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    every = np.arange(low, high + 1).astype(dtype)
    for seed in range(12):
        g = ByteGraph(seed)
        a, y, z = (g.random.uniform(0.004, 0.05, 3)).tolist()
        za, zy, zz = (int(v) for v in g.random.integers(low, high + 1, 3))
        feeds = {"x": np.repeat(every, 256).reshape(1, 4, 128, 128), "y": np.tile(every, 256).reshape(1, 4, 128, 128)}
        x = g.input("x", feeds["x"].shape, dtype)
        layer = g.op("QLinearConv", x, *g.numbers(a, za, dtype), g.constant(np.eye(4)[:, :, None, None], S8),
                     *g.numbers(1.0, 0, S8), *g.numbers(a, za, dtype))  # fmt: skip
        sides = [layer, *g.numbers(a, za, dtype), g.input("y", feeds["y"].shape, dtype), *g.numbers(y, zy, dtype)]
        total = g.microsoft("QLinearAdd", *sides, *g.numbers(z, zz, dtype))
        product = g.microsoft("QLinearMul", *sides, *g.numbers(z * y * 200, zz, dtype))
        exact(g.model({total: dtype, product: dtype}), [feeds], "QLinearAdd", "QLinearMul")


@pytest.mark.parametrize("standalone", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_sum_of_single_bytes(first: bool, standalone: bool) -> None:
    """onnxruntime exchanges the operands of one element: 138 and 17 at these scales are rounded differently."""
    g = ByteGraph()
    numbers = [g.numbers(0.05, 3, U8), g.numbers(0.5, 0, U8)]
    own = 1 if first else 0  # which operand the layer gives
    w, scale = g.constant([[[[1]]]], S8), g.numbers(1.0, 0, S8)
    x = g.input("x", (1, 1, 1, 1))
    layer = g.op("QLinearConv", x, *numbers[own], w, *scale, *numbers[own])
    sides = [layer, g.input("y", (1, 1, 1, 1))]
    if first:
        sides.reverse()
    z = g.microsoft("QLinearAdd", sides[0], *numbers[0], sides[1], *numbers[1], *g.numbers(0.5, 0, U8))
    model = g.model({z: U8, layer: U8} if standalone else {z: U8})
    values = [np.full((1, 1, 1, 1), v, U8) for v in (138, 17)]
    exact(model, [{"x": values[own], "y": values[1 - own]}], "QLinearAdd", "QLinearConv")


@both_types
@pytest.mark.parametrize("op", ["QLinearSigmoid", "QLinearLeakyRelu"])
@pytest.mark.parametrize("standalone", [False, True])
def test_table(op: str, dtype: Any, standalone: bool) -> None:
    for seed in range(12):
        g = ByteGraph(seed)
        x_scale = float(g.random.uniform(0.01, 0.08))
        y_scale = 1 / 256 if op == "QLinearSigmoid" else float(g.random.uniform(0.01, 0.08))
        points = g.random.integers(*np.array(np.iinfo(dtype).min).repeat(2) + [0, 256], 2).tolist()
        layer = g.mix(g.input("x", [1, 6, 20, 20], dtype), 6, dtype, (x_scale, points[0]))
        attributes = {"alpha": 0.1} if op == "QLinearLeakyRelu" else {}
        y = g.microsoft(
            op, layer, *g.numbers(x_scale, points[0], dtype), *g.numbers(y_scale, points[1], dtype), **attributes
        )
        outputs = {y: dtype, layer: dtype} if standalone else {y: dtype}
        exact(g.model(outputs), [{"x": random_bytes(g.random, (1, 6, 20, 20), dtype)}], op)


@both_types
@pytest.mark.parametrize("channels", [(8, 4), (3, 5), (6, 7, 1), (16, 13, 2, 9)])
def test_concat(channels: tuple[int, ...], dtype: Any) -> None:
    g = ByteGraph(sum(channels))
    feeds, inputs = {}, []
    for i, count in enumerate(channels):
        feeds[f"x{i}"] = random_bytes(g.random, (2, count, 7, 5), dtype)
        scale, zero = (LAYER, (0.04, 20), (0.05, 3), (0.21, 77))[i]
        inputs += [
            g.mix(g.input(f"x{i}", (2, count, 7, 5), dtype), count, dtype, (scale, zero)),
            *g.numbers(scale, zero, dtype),
        ]
    y = g.microsoft("QLinearConcat", *g.numbers(*LAYER, dtype), *inputs, axis=1)
    z = g.mix(y, sum(channels), dtype)
    exact(g.model({y: dtype, z: dtype}), [feeds], "QLinearConcat", "QLinearConv")


POOLS: dict[str, dict[str, Any]] = {
    "2x2": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "3x3 padded": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4},
    "3x3 padded, counted": {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1},
    "ceil": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    "5x1": {"kernel_shape": [5, 1], "pads": [2, 0, 2, 0]},
}


@both_types
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("numbers", [(LAYER, LAYER), (LAYER, (0.037, 60)), ((0.25, -5), (0.125, 100))])
def test_average_pool(pool: str, dtype: Any, numbers: tuple[Numbers, Numbers]) -> None:
    x, y = numbers
    if x[1] < 0 and dtype is U8:
        x = (x[0], 250)
    for shape in ((1, 8, 12, 12), (2, 5, 9, 14)):
        g = ByteGraph()
        layer = g.mix(g.input("x", shape, dtype), shape[1], dtype, x)
        z = g.microsoft("QLinearAveragePool", layer, *g.numbers(*x, dtype), *g.numbers(*y, dtype), **POOLS[pool])
        exact(g.model({z: dtype}), [{"x": random_bytes(g.random, shape, dtype)}], "QLinearAveragePool")


@both_types
@pytest.mark.parametrize("ceil", [0, 1])
@pytest.mark.parametrize("size", [2, 12])
def test_average_pool_counting_what_lies_outside(size: int, ceil: int, dtype: Any) -> None:
    """onnxruntime divides bytes by the whole window, floats by its part inside: with ceil_mode, and for a window that
    is larger than the image."""
    g = ByteGraph()
    layer = g.mix(g.input("x", (1, 8, size, size), dtype), 8, dtype, LAYER)
    numbers = g.numbers(*LAYER, dtype)
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": ceil, "count_include_pad": 1}
    z = g.microsoft("QLinearAveragePool", layer, *numbers, *numbers, **window)
    exact(g.model({z: dtype}), [{"x": random_bytes(g.random, (1, 8, size, size), dtype)}], "QLinearAveragePool")


@both_types
@pytest.mark.parametrize("shape", [(1, 8, 7, 7), (2, 13, 16, 16), (3, 5, 1, 1), (20, 6, 3, 2), (1, 300, 7, 7)])
def test_global_average_pool(shape: tuple[int, ...], dtype: Any) -> None:
    for seed in range(6):
        g = ByteGraph(seed)
        y = (float(g.random.uniform(0.002, 0.05)), int(g.random.integers(0, 100)))
        layer = g.mix(g.input("x", shape, dtype), shape[1], dtype, LAYER)
        z = g.microsoft(
            "QLinearGlobalAveragePool", layer, *g.numbers(*LAYER, dtype), *g.numbers(*y, dtype), channels_last=0
        )
        exact(g.model({z: dtype}), [{"x": random_bytes(g.random, shape, dtype)}], "QLinearGlobalAveragePool")


@both_types
@pytest.mark.parametrize("activation", ["", "Relu", "Sigmoid"])
@pytest.mark.parametrize("shape", [(1, 8, 7, 7), (2, 13, 16, 16), (20, 6, 3, 2), (1, 2048, 7, 7)])
def test_float_average_of_bytes(shape: tuple[int, ...], activation: str, dtype: Any) -> None:
    """Bytes that become floats only to be averaged, as at the end of a quantized ResNet."""
    g = ByteGraph()
    x = g.dequantize(g.mix(g.input("x", shape, dtype), shape[1], dtype, LAYER), *LAYER, dtype)
    y = g.op("GlobalAveragePool", g.op(activation, x) if activation else x)
    near(g.model({y: np.float32}), [{"x": random_bytes(g.random, shape, dtype)}], 1e-6, "GlobalAveragePool")


@both_types
@pytest.mark.parametrize("pool", [p for p in POOLS if "counted" not in p])
def test_max_pool(pool: str, dtype: Any) -> None:
    for shape in ((1, 8, 12, 12), (2, 5, 9, 14)):
        g = ByteGraph()
        y = g.op("MaxPool", g.mix(g.input("x", shape, dtype), shape[1], dtype), **POOLS[pool])
        exact(g.model({y: dtype}), [{"x": random_bytes(g.random, shape, dtype)}], "MaxPool")


@both_types
@pytest.mark.parametrize("absent", [(), ("",)], ids=["none", "empty"])
def test_without_zero_points(absent: tuple[str, ...], dtype: Any) -> None:
    """The bytes' own type then says whether they are signed."""
    g = ByteGraph()
    scale, weight_scale = g.constant(0.05, np.float32), g.constant(0.01, np.float32)
    x = g.op("DequantizeLinear", g.input("x", (9, 36), dtype), scale, *absent)
    w = g.op("DequantizeLinear", g.pruned((36, 20)), weight_scale, *absent)
    y = g.op("MatMul", x, w)
    feeds = [{"x": random_bytes(g.random, (9, 36), dtype)}]
    if dtype is U8:
        exact(g.model({g.op("QuantizeLinear", y, scale, *absent): U8}), feeds, "MatMul")
    else:
        near(g.model({y: np.float32}), feeds, 1e-6, "MatMul")  # signed bytes are floats in onnxruntime


@both_types
@pytest.mark.parametrize("axes", ["image", "tokens"])
def test_quantize_and_dequantize(axes: str, dtype: Any) -> None:
    """Floats at ties, out of range, infinite and not numbers, then bytes, then floats again."""
    for seed, scale in enumerate([0.5, 0.1, 1 / 3, 0.0371]):
        g = ByteGraph(seed)
        shape = (2, 10, 9, 7) if axes == "image" else (37, 10)
        ties = (g.random.integers(-300, 300, shape) + 0.5) * np.float32(scale)
        noise = g.random.standard_normal(shape) * 60 * scale
        values = np.where(g.random.random(shape) < 0.5, ties, noise).astype(np.float32)
        values.reshape(-1)[:4] = [np.inf, -np.inf, 3e38, -3e38]
        x = g.quantize(g.input("x", shape, np.float32), scale, 12, dtype)
        if axes == "image":
            layer = g.mix(x, 10, dtype, (scale, 12))
        else:
            layer = g.op("QLinearMatMul", x, *g.numbers(scale, 12, dtype), g.pruned((10, 10)), *g.numbers(0.01, 0, S8),
                         *g.numbers(scale, 12, dtype))  # fmt: skip
        y = g.dequantize(layer, scale, 12, dtype)
        exact(g.model({y: np.float32}), [{"x": values}], "QuantizeLinear", "DequantizeLinear")


@both_types
@pytest.mark.parametrize("kind", ["Flatten", "Reshape", "Reshape tokens", "Split", "Split unevenly", "Resize"])
def test_moved_bytes(kind: str, dtype: Any) -> None:
    shape = (2, 12, 4, 6)
    g = ByteGraph()
    layer = g.mix(g.input("x", shape, dtype), 12, dtype)
    op, outputs = kind.split()[0], {}
    if kind == "Flatten":
        outputs[g.op("Flatten", layer, axis=1)] = dtype
    elif op == "Reshape":
        outputs[g.op("Reshape", layer, g.constant([2, -1] if kind == "Reshape" else [2, 12, -1], np.int64))] = dtype
    elif op == "Split":
        parts = g.op("Split", layer, g.constant([6, 6] if kind == "Split" else [5, 7], np.int64), axis=1, outputs=2)
        outputs = {g.mix(part, size, dtype): dtype for part, size in zip(parts, (6, 6) if kind == "Split" else (5, 7))}
    else:
        scales = g.constant([1, 1, 2, 2], np.float32)
        y = g.op(
            "Resize",
            layer,
            "",
            scales,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        outputs[y] = dtype
    exact(g.model(outputs), [{"x": random_bytes(g.random, shape, dtype)}], "QLinearConv", op)
