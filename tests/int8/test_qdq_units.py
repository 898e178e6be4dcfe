"""QDQ units: the CPU provider's bits where it gives the unit an integer form, and within rounding where it stays in
float (ort_forms.h lists both). FLOAT_FORMS below names every unit of the second kind that is tested."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from byte_models import (
    F32,
    I32,
    S8,
    U8,
    Array,
    ByteGraph,
    assert_same_bits,
    exact,
    near,
    quiet,
    random_bytes,
    reference,
)
from harness import sparse_session

X, Y = (0.02, 3), (0.11, 0)  # scale and zero point of the activations
Model = tuple[onnx.ModelProto, dict[str, Array]]

# Float in onnxruntime on x64: (operator, activations, what follows).
FLOAT_FORMS = {
    ("Conv", "s8", "bytes"),
    ("Conv", "s8", "Relu"),
    ("Conv", "u8", "Relu to a zero point"),
    ("Conv", "s8", "Relu to a zero point"),
    ("Conv", "u8", "floats"),
    ("Conv", "s8", "floats"),
    ("MatMul", "s8", "bytes"),
    ("MatMul", "s8", "floats"),
    ("MatMul", "u8", "Relu to a zero point"),
    ("MatMul", "s8", "Relu to a zero point"),
    ("MatMul", "s8", "Relu"),
    ("Gemm", "u8", "Relu to a zero point"),
    ("Gemm", "s8", "Relu to a zero point"),
}
FOLLOWERS = ["bytes", "floats", "Relu", "Relu to a zero point"]


def layer(op: str, dtype: Any, follower: str, per_channel: bool, bias: bool, seed: int = 0) -> Model:
    g = ByteGraph(seed)
    channels, rows = 13, 18
    shape = (2, channels, 9, 8) if op == "Conv" else (21, channels)
    w_shape = {"Conv": (rows, channels, 3, 3), "MatMul": (channels, rows), "Gemm": (rows, channels)}[op]
    scale = g.random.uniform(0.01, 0.03, rows) if per_channel else 0.02
    axis = {"axis": 1 if op == "MatMul" else 0} if per_channel else {}
    inputs = [
        g.dequantize(g.input("x", shape, dtype), *X, dtype),
        g.dequantize(g.pruned(w_shape), scale, 0, S8, **axis),
    ]
    if bias and op != "MatMul":
        unit = {"axis": 0} if per_channel else {}
        unit_scale = np.float32(X[0]) * np.asarray(scale, np.float32)
        inputs.append(g.dequantize(g.bias(rows), unit_scale, 0, I32, **unit))
    attributes = {"Conv": {"pads": [1] * 4, "strides": [1, 2]}, "MatMul": {}, "Gemm": {"transB": 1}}[op]
    y = g.op(op, *inputs, **attributes)
    if follower.startswith("Relu"):
        y = g.op("Relu", y)
    if follower != "floats":
        low = int(np.iinfo(dtype).min)
        y = g.quantize(y, Y[0] * (4 if op == "Conv" else 1), low + 9 if follower != "Relu" else low, dtype)
    return g.model({y: F32 if follower == "floats" else dtype}), {"x": random_bytes(g.random, shape, dtype)}


@pytest.mark.parametrize("follower", FOLLOWERS)
@pytest.mark.parametrize("dtype", [U8, S8], ids=["u8", "s8"])
@pytest.mark.parametrize("op", ["Conv", "MatMul", "Gemm"])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_layer(op: str, dtype: Any, follower: str, per_channel: bool, bias: bool) -> None:
    if bias and op == "MatMul":
        pytest.skip("MatMul has no bias")
    model, feeds = layer(op, dtype, follower, per_channel, bias)
    if (op, "u8" if dtype is U8 else "s8", follower) in FLOAT_FORMS:
        near(model, [feeds], 2e-6, op)
    else:
        exact(model, [feeds], op)


def between(op: str, dtype: Any, relu: bool, x: tuple[float, int], y: tuple[float, int], **attributes: Any) -> Model:
    """DQ-op-Q behind a QLinearConv; op has one or two inputs."""
    g = ByteGraph()
    shape = (2, 12, 8, 8)
    feeds = {"x": random_bytes(g.random, shape, dtype)}
    sides = [g.dequantize(g.mix(g.input("x", shape, dtype), 12, dtype, x), *x, dtype)]
    if op in ("Add", "Mul", "Concat"):
        feeds["y"] = random_bytes(g.random, shape, dtype)
        sides.append(g.dequantize(g.input("y", shape, dtype), 0.031, 50, dtype))
    z = g.op(op, *sides, **attributes)
    if relu:
        z = g.op("Relu", z)
    return g.model({g.quantize(z, *y, dtype): dtype}), feeds


UNITS: dict[str, dict[str, Any]] = {
    "Add": {},
    "Mul": {},
    "Concat": {"axis": 1},
    "AveragePool": {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [2, 2]},
    "GlobalAveragePool": {},
    "MaxPool": {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [2, 2]},
    "Sigmoid": {},
    "LeakyRelu": {"alpha": 0.1},
    "Relu": {},
}


@pytest.mark.parametrize("dtype", [U8, S8], ids=["u8", "s8"])
@pytest.mark.parametrize("op", UNITS)
@pytest.mark.parametrize("y", [(0.05, 3), (0.0234, 60)], ids=["same scale", "other scale"])
def test_unit(op: str, dtype: Any, y: tuple[float, int]) -> None:
    model, feeds = between(op, dtype, False, (0.05, 3), y, **UNITS[op])
    exact(model, [feeds], op)


@pytest.mark.parametrize("dtype", [U8, S8], ids=["u8", "s8"])
def test_add_and_relu(dtype: Any) -> None:
    model, feeds = between("Add", dtype, True, (0.05, 3), (0.06, int(np.iinfo(dtype).min)))
    exact(model, [feeds], "Add", "Relu")


# Operators between bytes that move them, or that onnxruntime computes in float: attributes, and whether the bits agree.
MORE_UNITS: dict[str, tuple[dict[str, Any], bool]] = {
    "Flatten": ({}, True),
    "Reshape": ({}, True),
    "Resize": ({"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, True),
    "Split": ({"axis": 1}, True),
    "Clip": ({}, True),
    "HardSwish": ({}, False),
    "HardSigmoid": ({}, False),
    "Tanh": ({}, False),
    **{op: ({}, True) for op in ("Abs", "Sqrt", "Reciprocal", "Floor", "Ceil", "Round")},
    **{op: ({}, False) for op in ("Elu", "Selu", "Exp", "Erf", "Softplus", "Softsign")},
    "ReduceMean": ({"axes": [2, 3]}, False),
}


@pytest.mark.parametrize("dtype", [U8, S8], ids=["u8", "s8"])
@pytest.mark.parametrize("op", MORE_UNITS)
@pytest.mark.parametrize("y", [(0.05, 3), (0.0234, 60)], ids=["same scale", "other scale"])
def test_more_units(op: str, dtype: Any, y: tuple[float, int]) -> None:
    attributes, same_bits = MORE_UNITS[op]
    g = ByteGraph()
    shape = (40 if op == "ReduceMean" else 2, 12, 8, 6)
    x = g.dequantize(g.mix(g.input("x", shape, dtype), 12, dtype, (0.05, 3)), 0.05, 3, dtype)
    more = {
        "Reshape": [g.constant([2, -1], np.int64)],
        "Resize": ["", g.constant([1, 1, 2, 2], F32)],
        "Split": [g.constant([5, 7], np.int64)],
        "Clip": [g.constant(0.0, F32), g.constant(3.0, F32)],
    }
    made = g.op(op, x, *more.get(op, []), outputs=2 if op == "Split" else 1, **attributes)
    outputs = {g.quantize(value, *y, dtype): dtype for value in ([made] if isinstance(made, str) else made)}
    feeds = [{"x": random_bytes(g.random, shape, dtype)}]
    if same_bits:
        exact(g.model(outputs), feeds, op)
    else:
        near(g.model(outputs), feeds, 0.0, op)


@pytest.mark.parametrize("limit", ["Relu", "Clip"])
def test_softmax_that_the_cpu_provider_computes_in_integers(limit: str) -> None:
    """It drops what is no limit behind it, and needs the DequantizeLinear before."""
    g = ByteGraph()
    x = g.dequantize(g.mix(g.input("x", (4, 12, 8, 6), U8), 12, U8, (0.05, 3)), 0.05, 3, U8)
    bounds = [g.constant(0.0, F32), g.constant(9.0, F32)] if limit == "Clip" else []
    y = g.quantize(g.op(limit, g.op("Softmax", x, axis=-1), *bounds), 1 / 255, 0, U8)
    model, feed = g.model({y: U8}), {"x": random_bytes(g.random, (4, 12, 8, 6), U8)}
    expected = reference(model, few_bits=True).run(None, feed)
    assert_same_bits(sparse_session(model, quiet(), min_sparsity=0).run(None, feed), expected)
