"""Expansion, depthwise layer, projection: three layers that run as one step, cut by rows or by channels."""

from __future__ import annotations

import numpy as np
import pytest
from byte_models import F32, S8, U8, ByteGraph, exact, quiet, random_bytes
from harness import cpu_session, sparse_session

SIZES = [(56, 56), (112, 61), (28, 30), (14, 14), (7, 7), (9, 50)]
sizes = pytest.mark.parametrize("size", SIZES, ids=[f"{h}x{w}" for h, w in SIZES])
strides = pytest.mark.parametrize("stride", [1, 2])
IN, EXPANDED = 12, 75


def window(stride: int) -> dict[str, object]:
    return {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [stride, stride], "group": EXPANDED}


@sizes
@strides
def test_bytes(stride: int, size: tuple[int, int]) -> None:
    g = ByteGraph()

    def layer(x: str, shape: tuple[int, ...], scale: float, **attributes: object) -> str:
        parameters = g.numbers(0.05, 3, U8)
        weights = (g.pruned(shape, density=0.3), *g.numbers(scale, 0, S8))
        return str(g.op("QLinearConv", x, *parameters, *weights, *parameters, g.bias(shape[0]), **attributes))

    shape = (1, IN, *size)
    block_input = layer(g.input("x", shape), (IN, IN, 1, 1), 0.02)
    expanded = layer(block_input, (EXPANDED, IN, 1, 1), 0.02)
    y = layer(layer(expanded, (EXPANDED, 1, 3, 3), 0.02, **window(stride)), (IN, EXPANDED, 1, 1), 0.005)
    if stride == 1:
        numbers = [g.numbers(*n, U8) for n in ((0.05, 3), (0.05, 3), (0.07, 9))]
        y = g.microsoft("QLinearAdd", y, *numbers[0], block_input, *numbers[1], *numbers[2])
    exact(g.model({y: U8}), [{"x": random_bytes(g.random, shape)}], "QLinearConv")


@sizes
@strides
def test_floats(stride: int, size: tuple[int, int]) -> None:
    g = ByteGraph()

    def layer(x: str, shape: tuple[int, ...], **attributes: object) -> str:
        weights = g.random.standard_normal(shape) * (g.random.random(shape) < (1 if attributes else 0.3))
        return str(g.op("Conv", x, g.constant(weights, F32), g.constant(g.random.standard_normal(shape[0]), F32),
                        **attributes))  # fmt: skip

    shape = (1, IN, *size)
    block_input = layer(g.input("x", shape, F32), (IN, IN, 1, 1))
    expanded = g.op("Relu", layer(block_input, (EXPANDED, IN, 1, 1)))
    y = layer(g.op("Relu", layer(expanded, (EXPANDED, 1, 3, 3), **window(stride))), (IN, EXPANDED, 1, 1))
    if stride == 1:
        y = g.op("Add", y, block_input)
    model, feeds = g.model({y: F32}), {"x": g.random.standard_normal(shape).astype(F32)}
    want = cpu_session(model, quiet()).run(None, feeds)[0]
    got = sparse_session(model, quiet(), min_sparsity=0).run(None, feeds)[0]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())
