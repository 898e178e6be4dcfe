"""Constants that a model stores as integers behind a DequantizeLinear are constants like any other."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from byte_models import F32, I32, S8, U8, Array, ByteGraph, exact, near, quiet, random_bytes
from harness import claimed, sparse_session

Model = tuple[onnx.ModelProto, dict[str, Array]]
CHANNELS, ROWS = 13, 18
X = (0.02, 3)
TOKENS = ("batch", 7, CHANNELS)  # where all sizes are known, onnxruntime makes a Gemm of MatMul and Add
# How a constant vector is stored: type, scale, zero point. Its scale need not be the product of others'.
STORED: dict[str, tuple[Any, float, int]] = {"int32": (I32, 3e-5, 0), "uint8": (U8, 0.01, 130), "int8": (S8, 0.01, -7)}


def vector(g: ByteGraph, stored: str, low: int = -100, high: int = 101, per_element: bool = False) -> str:
    """(stored - zero point) from low to high, in hundredths; int32: in units of 3e-5."""
    dtype, scale, zero = STORED[stored]
    fine = 333 if dtype is I32 else 1
    values = g.constant(g.random.integers(low * fine, high * fine, ROWS) + zero, dtype)
    if per_element:
        return g.dequantize(values, np.full(ROWS, scale) * g.random.uniform(0.5, 2, ROWS), zero, dtype, axis=0)
    return g.dequantize(values, scale, zero, dtype)


def layer(g: ByteGraph, op: str, shape: tuple[int | str, ...], *more: str) -> str:
    image = op == "Conv"
    weights = g.pruned((ROWS, CHANNELS, 1, 1) if image else (CHANNELS, ROWS))
    x = g.dequantize(g.input("x", shape), *X)
    return str(g.op(op, x, g.dequantize(weights, 0.001, 0, S8), *more))


def matmul_and_add(stored: str, per_element: bool, to_bytes: bool, seed: int = 0) -> Model:
    g = ByteGraph(seed)
    y = g.op("Add", layer(g, "MatMul", TOKENS), vector(g, stored, per_element=per_element))
    outputs = {g.quantize(y, 0.02, 128): U8} if to_bytes else {y: F32}
    return g.model(outputs), {"x": random_bytes(g.random, (2, 7, CHANNELS))}


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("per_element", [False, True])
@pytest.mark.parametrize("to_bytes", [False, True])
def test_matmul_and_add(stored: str, per_element: bool, to_bytes: bool) -> None:
    model, feeds = matmul_and_add(stored, per_element, to_bytes)
    exact(model, [feeds], "MatMul", "Add", "DequantizeLinear")


@pytest.mark.parametrize("op", ["Conv", "Gemm"])
@pytest.mark.parametrize("to_bytes", [False, True])
def test_bias_of_bytes_is_a_float_bias(op: str, to_bytes: bool) -> None:
    g = ByteGraph()
    shape = (2, CHANNELS, 6, 5) if op == "Conv" else (9, CHANNELS)
    y = layer(g, op, shape, vector(g, "uint8"))
    outputs = {g.quantize(y, 0.02, 128): U8} if to_bytes else {y: F32}
    near(g.model(outputs), [{"x": random_bytes(g.random, shape)}], 2e-6, op, "DequantizeLinear")


@pytest.mark.parametrize("stored", STORED)
def test_batch_normalization_between_bytes(stored: str) -> None:
    g = ByteGraph()
    shape = (2, CHANNELS, 6, 5)
    x = g.dequantize(g.quantize(layer(g, "Conv", shape), 0.02, 128), 0.02, 128)
    scale, shift, mean, variance = (vector(g, stored, *ends) for ends in ((50, 110), (-99, 99), (-99, 99), (40, 110)))
    y = g.op("Relu", g.op("BatchNormalization", x, scale, shift, mean, variance))
    model = g.model({g.quantize(y, 0.01, 0): U8})
    near(model, [{"x": random_bytes(g.random, shape)}], 0, "BatchNormalization", "Relu", "DequantizeLinear")


def test_constant_with_two_uses() -> None:
    """onnxruntime gives every use a DequantizeLinear of its own."""
    g = ByteGraph()
    shared = vector(g, "int32")
    y = g.op("Mul", g.op("Add", layer(g, "MatMul", TOKENS), shared), shared)
    exact(g.model({y: F32}), [{"x": random_bytes(g.random, (2, 7, CHANNELS))}], "Add", "Mul", "DequantizeLinear")


def test_what_is_no_vector_stays_an_activation() -> None:
    g = ByteGraph()
    table = g.dequantize(g.constant(g.random.integers(0, 256, (7, ROWS)), U8), 0.01, 128)
    y = g.op("Add", layer(g, "MatMul", TOKENS), table)
    session = sparse_session(g.model({y: F32}), quiet(), min_sparsity=0)
    assert not claimed(session, "Add")
