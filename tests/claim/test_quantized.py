"""Quantized operators: what they are recognised as equals onnxruntime, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sparsecpu_testing as claim
from describe import basic
from quantized_models import S8, U8, F, Quantized, check, data


@pytest.mark.parametrize("dtype", [U8, S8])
@pytest.mark.parametrize("weights", [(S8, 0), (S8, 5), (U8, 128)])
@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_conv(dtype: Any, weights: tuple[Any, int], per_channel: bool) -> None:
    kind, zero = weights
    if dtype is S8 and kind is U8:
        pytest.skip("onnxruntime has no kernel")
    g = Quantized()
    x = g.bytes_input("x", [1, 8, 9, 9], dtype)
    scale = g.random.uniform(0.005, 0.02, 6) if per_channel else 0.01
    zeros = np.full(6, zero) if per_channel else zero
    y = g.add("QLinearConv", x, *g.parameters(0.02, 3, dtype), g.weights((6, 4, 3, 3), kind, zero),
              *g.parameters(scale, zeros, kind), *g.parameters(0.1, 9, dtype),
              g.constant(g.random.integers(-900, 900, 6), np.int32), group=2, pads=[1] * 4, strides=[2, 2])  # fmt: skip
    check(g.byte_model(y, dtype), {"x": data(g, [1, 8, 9, 9], dtype)}, "qlinear conv")


@pytest.mark.parametrize("dtype", [U8, S8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_matmul(dtype: Any, per_channel: bool) -> None:
    g = Quantized()
    x = g.bytes_input("x", ["n", "s", 16], dtype)
    scale = g.random.uniform(0.005, 0.02, 6) if per_channel else 0.01
    y = g.add("QLinearMatMul", x, *g.parameters(0.02, 3, dtype), g.weights((16, 6)),
              *g.parameters(scale, np.zeros(np.shape(scale)), S8), *g.parameters(0.1, 9, dtype))  # fmt: skip
    check(g.byte_model(y, dtype), {"x": data(g, [2, 7, 16], dtype)}, "qlinear matmul")


@pytest.mark.parametrize("to_float", [False, True])
def test_qgemm(to_float: bool) -> None:
    g = Quantized()
    x = g.bytes_input("x", ["n", 16])
    output = [] if to_float else [*g.parameters(0.1, 9, U8)]
    y = g.add("QGemm", x, *g.parameters(0.02, 3, U8), g.weights((6, 16)), *g.parameters(0.01, 0, S8),
              g.constant(np.arange(6) * 50, np.int32), *output, domain="com.microsoft", transB=1, alpha=0.7)  # fmt: skip
    check(g.byte_model(y, None if to_float else U8), {"x": data(g, [5, 16])}, "qgemm")


@pytest.mark.parametrize("dtype", [U8, S8])
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize(
    "other", ["same", "pooled", "pooled first", "number", "number first", "vector", "vector first"]
)
def test_binary(dtype: Any, op: str, other: str) -> None:
    g = Quantized()
    shape = [2, 8, 5, 5]
    feeds = {"x": data(g, shape, dtype)}
    x = g.bytes_input("x", shape, dtype)
    if other.startswith("number"):
        y = g.constant(77, dtype)
    elif other.startswith("vector"):
        y = g.constant(data(g, [8, 1, 1], dtype), dtype)
    else:
        small = shape if other == "same" else [2, 8, 1, 1]
        feeds["y"] = data(g, small, dtype)
        y = g.bytes_input("y", small, dtype)
    sides = [(x, *g.parameters(0.021, 3, dtype)), (y, *g.parameters(0.033, 40, dtype))]
    if other.endswith("first"):
        sides.reverse()
    z = g.add(op, *sides[0], *sides[1], *g.parameters(0.05, 17, dtype), domain="com.microsoft")
    check(g.byte_model(z, dtype), feeds, op.lower().replace("qlinear", "qlinear "))


@pytest.mark.parametrize("dtype", [U8, S8])
@pytest.mark.parametrize("op", ["QLinearSigmoid", "QLinearLeakyRelu", "QLinearGlobalAveragePool"])
def test_unary(dtype: Any, op: str) -> None:
    for seed in range(20):
        g = Quantized(seed=seed)
        scales = g.random.uniform(0.01, 0.08, 2)
        x = g.bytes_input("x", [2, 8, 16, 16], dtype)
        attributes = {} if op == "QLinearSigmoid" else {"alpha": 0.1} if "Leaky" in op else {"channels_last": 0}
        y = g.add(op, x, *g.parameters(scales[0], 3, dtype), *g.parameters(scales[1] / 8, 9, dtype),
                  domain="com.microsoft", **attributes)  # fmt: skip
        check(g.byte_model(y, dtype), {"x": data(g, [2, 8, 16, 16], dtype)}, "qlinear")


def test_concat_changes_the_scale_of_what_differs() -> None:
    g = Quantized()
    x, y = g.bytes_input("x", [1, 8, 5, 5]), g.bytes_input("y", [1, 4, 5, 5])
    z = g.add("QLinearConcat", *g.parameters(0.05, 17, U8), x, *g.parameters(0.05, 17, U8), y,
              *g.parameters(0.033, 40, U8), domain="com.microsoft", axis=1)  # fmt: skip
    model = g.byte_model(z)
    check(model, {"x": data(g, [1, 8, 5, 5]), "y": data(g, [1, 4, 5, 5])}, "qlinear concat")
    assert [op["kind"] for op in claim.recognise(basic(model))[0]["ops"]] == ["lookup", "concat"]


@pytest.mark.parametrize("conv", [False, True])
@pytest.mark.parametrize("weights", [(U8, 128), (S8, 0)])
def test_integer_chain(conv: bool, weights: tuple[Any, int]) -> None:
    g = Quantized()
    shape = [1, 8, 9, 9] if conv else [2, 7, 8]
    x = g.q(g.input("x", shape), 0.02, 3)
    w = g.weights((6, 8, 3, 3) if conv else (8, 6), *weights)
    y = g.add("ConvInteger" if conv else "MatMulInteger", x, w, g.constant(3, U8), g.constant(weights[1], weights[0]))
    bias = g.random.integers(-900, 900, 6)
    y = g.add("Add", y, g.constant(bias.reshape(1, 6, 1, 1) if conv else bias, np.int32))
    y = g.add("Mul", g.add("Cast", y, to=1), g.constant(0.0002))
    feeds = {"x": g.random.standard_normal(shape).astype(F)}
    check(g.byte_model(y, None), feeds, "integer " + ("conv" if conv else "matmul"))


def test_dynamic_quantization_is_one_unit_with_all_it_feeds() -> None:
    g = Quantized()
    x = g.input("x", ["n", "s", 8])
    dynamic = g.add("DynamicQuantizeLinear", x, outputs=3)
    scale, zero = g.nodes[-1].output[1:]
    outputs = []
    for _ in range(2):
        y = g.add("Cast", g.add("MatMulInteger", dynamic, g.weights((8, 6)), zero, g.constant(0, S8)), to=1)
        outputs.append(g.add("Mul", y, g.add("Mul", scale, g.constant(0.01))))
    nodes = claim.recognise(basic(g.model(*outputs)))
    assert {n["unit"] for n in nodes} == {0}
    (ops,) = [n["ops"] for n in nodes if n["ops"]]
    assert [op["kind"] for op in ops] == ["dynamic_quantize", "quantized_linear", "quantized_linear"]
    assert all(op["dynamic"] for op in ops[1:])
