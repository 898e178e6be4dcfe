"""ConvInteger and MatMulInteger in the chains that exporters write: constant scales (SparseML) and scales computed
at run time (quantize_dynamic). Their floats equal the CPU provider's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from byte_models import F32, S8, U8, ByteGraph, exact, random_bytes
from onnx import TensorProto

WEIGHTS = {"u8, zero point 128": (U8, 128), "s8": (S8, 0)}


def integer_chain(
    g: ByteGraph, op: str, x: str, w: str, zeros: tuple[str, str], bias: str, scale: str, **attributes: Any
) -> str:
    sums = g.op(op, x, w, *zeros, **attributes)
    if bias:
        sums = g.op("Add", sums, bias)
    return str(g.op("Mul", g.op("Cast", sums, to=TensorProto.FLOAT), scale))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("op", ["ConvInteger", "MatMulInteger"])
@pytest.mark.parametrize("bias", [False, True])
def test_constant_scale(op: str, weights: str, bias: bool) -> None:
    dtype, zero = WEIGHTS[weights]
    for shape in ((1, 16, 9, 9), (3, 13, 6, 5)) if op == "ConvInteger" else ((1, 36), (20, 36), (2, 33, 13)):
        g = ByteGraph()
        conv = op == "ConvInteger"
        channels, rows = shape[1 if conv else -1], 18
        x = g.quantize(g.input("x", shape, F32), 0.05, 60)
        w = g.pruned((rows, channels, 3, 3) if conv else (channels, rows), dtype, zero)
        b = g.constant(g.random.integers(-2000, 2000, (1, rows, 1, 1) if conv else rows), np.int32) if bias else ""
        zeros = (g.constant(60, U8), g.constant(zero, dtype))
        y = integer_chain(g, op, x, w, zeros, b, g.constant(0.0123, F32), **({"pads": [1] * 4} if conv else {}))
        exact(g.model({y: F32}), [{"x": g.random.standard_normal(shape).astype(F32) * 3}], op, "QuantizeLinear")


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_run_time_scale(weights: str, per_channel: bool, bias: bool) -> None:
    dtype, zero = WEIGHTS[weights]
    g = ByteGraph()
    x = g.input("x", ["n", "s", 36], F32)
    q, scale, x_zero = g.op("DynamicQuantizeLinear", x, outputs=3)
    w_scale = g.random.uniform(0.01, 0.03, 21) if per_channel else np.array(0.02)
    sums = g.op(
        "MatMulInteger", q, g.pruned((36, 21), dtype, zero), x_zero, g.constant(np.full(w_scale.shape, zero), dtype)
    )
    y = g.op("Mul", g.op("Cast", sums, to=TensorProto.FLOAT), g.op("Mul", scale, g.constant(w_scale, F32)))
    if bias:
        y = g.op("Add", y, g.constant(g.random.standard_normal(21), F32))
    shapes = [(1, 1, 36), (1, 5, 36), (2, 20, 36), (1, 33, 36), (3, 128, 36)]
    feeds = [{"x": (g.random.standard_normal(s) * 2 + i).astype(F32)} for i, s in enumerate(shapes)]
    feeds.append({"x": np.zeros((1, 4, 36), F32)})
    exact(g.model({y: F32}), feeds, "MatMulInteger", "DynamicQuantizeLinear")


def test_bytes_that_are_fed() -> None:
    g = ByteGraph()
    x = g.input("x", [2, 20, 36])
    y = integer_chain(
        g, "MatMulInteger", x, g.pruned((36, 21)), (g.constant(9, U8), g.constant(0, S8)), "", g.constant(0.02, F32)
    )
    exact(g.model({y: F32}), [{"x": random_bytes(g.random, (2, 20, 36))}], "MatMulInteger")


def dynamic_conv(g: ByteGraph, quantized: list[str], shape: tuple[int, ...], bias: bool, **attributes: Any) -> str:
    q, scale, zero = quantized
    sums = g.op("ConvInteger", q, g.pruned(shape), zero, g.constant(0, S8), **attributes)
    product = g.op("Mul", scale, g.constant(float(g.random.uniform(0.001, 0.02)), F32))
    y = g.op("Mul", g.op("Cast", sums, to=TensorProto.FLOAT), product)
    return str(g.op("Add", y, g.constant(g.random.standard_normal((1, shape[0], 1, 1)), F32))) if bias else str(y)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("symbolic", [False, True])
def test_convolutions_of_one_run_time_scale(symbolic: bool, bias: bool) -> None:
    """The zero point that fills the borders is known at run time only; several windows read the same bytes, and the
    next layer's scale follows from the floats of this one."""
    g = ByteGraph()
    x = g.input("x", ["n", 9, "h", "w"] if symbolic else [2, 9, 11, 13], F32)
    first = g.op("DynamicQuantizeLinear", x, outputs=3)
    parts = [
        dynamic_conv(g, first, (16, 9, 3, 3), bias, pads=[1] * 4),
        dynamic_conv(g, first, (16, 9, 1, 1), bias),
        dynamic_conv(g, first, (16, 9, 5, 3), bias, pads=[2, 1, 2, 1]),
        dynamic_conv(g, first, (16, 9, 3, 3), bias, pads=[2] * 4, dilations=[2, 2]),
    ]
    y = parts[0]
    for part in parts[1:]:
        y = g.op("Add", y, g.op("Relu", part))
    for attributes in ({"group": 16, "pads": [1] * 4}, {"strides": [2, 2], "pads": [0, 1, 2, 1]}):
        inner = 1 if "group" in attributes else 16
        y = dynamic_conv(g, g.op("DynamicQuantizeLinear", y, outputs=3), (16, inner, 3, 3), bias, **attributes)
    sizes = [(2, 11, 13), (1, 5, 6), (3, 20, 17), (1, 2, 2)] if symbolic else [(2, 11, 13)]
    feeds = [{"x": (g.random.standard_normal((n, 9, h, w)) * 3 + i).astype(F32)} for i, (n, h, w) in enumerate(sizes)]
    exact(g.model({y: F32}), feeds, "ConvInteger", "DynamicQuantizeLinear")


def test_products_of_several_run_time_scales() -> None:
    """A chain: each layer's scale and bias have to live until its last row is computed."""
    g = ByteGraph()
    y = g.input("x", ["n", 40], F32)
    for rows, columns in ((40, 64), (64, 48), (48, 64), (64, 24)):
        q, scale, zero = g.op("DynamicQuantizeLinear", y, outputs=3)
        sums = g.op("MatMulInteger", q, g.pruned((rows, columns)), zero, g.constant(0, S8))
        y = g.op("Mul", g.op("Cast", sums, to=TensorProto.FLOAT), g.op("Mul", scale, g.constant(0.01, F32)))
        y = g.op("Relu", g.op("Add", y, g.constant(g.random.standard_normal(columns), F32)))
    feeds = [{"x": g.random.standard_normal((n, 40)).astype(F32)} for n in (1, 3, 16, 40, 64)]
    exact(g.model({y: F32}), feeds, "MatMulInteger", "DynamicQuantizeLinear")
