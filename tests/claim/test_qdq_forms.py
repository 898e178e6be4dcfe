"""Units between DequantizeLinear and QuantizeLinear: the table of ort_forms.h, bit for bit where it is integer."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from quantized_models import S8, U8, F, Quantized, check, data, forms


def qdq_linear(op: str, dtype: Any = U8, bias: str = "int", activation: str = "", zero: int = 0, to_bytes: bool = True,
               per_channel: bool = False, weights: tuple[Any, int] = (S8, 0)) -> tuple[onnx.ModelProto, Any]:  # fmt: skip
    g = Quantized()
    conv = op == "Conv"
    shape = [1, 8, 9, 9] if conv else [5, 8]
    x = g.dq(g.bytes_input("x", shape, dtype), 0.02, 3, dtype)
    scale = g.random.uniform(0.005, 0.02, 6) if per_channel else 0.01
    zeros = np.full(6, weights[1]) if per_channel else weights[1]
    axis = {"axis": 0 if conv else 1} if per_channel else {}
    w = g.dq(g.weights((6, 8, 3, 3) if conv else (8, 6), *weights), scale, zeros, weights[0], **axis)
    inputs = [x, w]
    if bias == "int":
        inputs.append(g.bias(6, (F(0.02) * np.asarray(scale, F)).astype(F)))
    elif bias == "float":
        inputs.append(g.constant(g.random.uniform(-0.2, 0.2, 6)))
    y = g.add(op, *inputs, **({"pads": [1] * 4} if conv else {}))
    if activation == "Relu":
        y = g.add("Relu", y)
    elif activation == "Clip":
        y = g.add("Clip", y, g.constant(0.0), g.constant(6.0))
    if to_bytes:
        y = g.q(y, 6 / 255 if activation == "Clip" else 0.1, zero, dtype)
    return g.byte_model(y, dtype if to_bytes else None), data(g, shape, dtype)


# The table of ort_forms.h: operator, options, what onnxruntime runs, whether that is integer.
FORMS: list[tuple[str, dict[str, Any], str, bool]] = [
    ("Conv", {}, "QLinearConv", True),
    ("Conv", {"per_channel": True}, "QLinearConv", True),
    ("Conv", {"bias": "float"}, "QLinearConv", True),
    ("Conv", {"bias": "none", "zero": 40}, "QLinearConv", True),
    ("Conv", {"weights": (U8, 128)}, "QLinearConv", True),
    ("Conv", {"weights": (S8, 4)}, "QLinearConv", True),
    ("Conv", {"activation": "Relu"}, "QLinearConv", True),
    ("Conv", {"activation": "Clip"}, "QLinearConv", True),
    ("Conv", {"activation": "Relu", "zero": 9}, "FusedConv", False),
    ("Conv", {"activation": "Clip", "zero": 9}, "FusedConv", False),
    ("Conv", {"to_bytes": False}, "Conv", False),
    ("Conv", {"dtype": S8}, "Conv", False),
    ("Conv", {"dtype": S8, "bias": "float"}, "Conv", False),
    ("Conv", {"dtype": S8, "activation": "Relu", "zero": -128}, "Conv", False),
    ("MatMul", {"bias": "none"}, "QLinearMatMul", True),
    ("MatMul", {"bias": "none", "per_channel": True}, "QLinearMatMul", True),
    ("MatMul", {"bias": "none", "activation": "Relu"}, "QLinearMatMul", True),
    ("MatMul", {"bias": "none", "activation": "Relu", "zero": 9}, "MatMul", False),
    ("MatMul", {"bias": "none", "to_bytes": False}, "MatMulIntegerToFloat", True),
    ("MatMul", {"bias": "none", "dtype": S8}, "MatMul", False),
    ("MatMul", {"bias": "none", "dtype": S8, "to_bytes": False}, "MatMul", False),
    ("Gemm", {}, "QGemm", True),
    ("Gemm", {"bias": "none"}, "QGemm", True),
    ("Gemm", {"bias": "float"}, "QGemm", True),
    ("Gemm", {"per_channel": True}, "QGemm", True),
    ("Gemm", {"to_bytes": False}, "QGemm", True),
    ("Gemm", {"bias": "float", "to_bytes": False}, "Gemm", False),
    ("Gemm", {"activation": "Relu"}, "QGemm", True),
    ("Gemm", {"activation": "Relu", "zero": 9}, "FusedGemm", False),
    ("Gemm", {"dtype": S8}, "QGemm", True),
    ("Gemm", {"dtype": S8, "bias": "float"}, "QGemm", True),
    ("Gemm", {"dtype": S8, "activation": "Relu", "zero": -128}, "QGemm", True),
]


@pytest.mark.parametrize("row", FORMS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_the_form_that_onnxruntime_picks(row: tuple[str, dict[str, Any], str, bool]) -> None:
    op, options, form, integer = row
    model, x = qdq_linear(op, **options)
    assert form in forms(model)
    check(model, {"x": x}, "qdq " + op.lower(), integer)


ELEMENTWISE: list[tuple[str, dict[str, Any], str]] = [
    ("Sigmoid", {}, "QLinearSigmoid"),
    ("LeakyRelu", {"alpha": 0.2}, "QLinearLeakyRelu"),
    ("Relu", {}, "Relu"),
    ("GlobalAveragePool", {}, "QLinearGlobalAveragePool"),
]


@pytest.mark.parametrize("dtype", [U8, S8])
@pytest.mark.parametrize("row", ELEMENTWISE, ids=lambda row: row[0])
def test_qdq_unary(dtype: Any, row: tuple[str, dict[str, Any], str]) -> None:
    op, attributes, form = row
    g = Quantized()
    x = g.dq(g.bytes_input("x", [1, 8, 16, 16], dtype), 0.05, 3, dtype)
    model = g.byte_model(g.q(g.add(op, x, **attributes), 0.02, 5, dtype), dtype)
    assert form in forms(model)
    check(model, {"x": data(g, [1, 8, 16, 16], dtype)}, "qdq " + op.lower())


@pytest.mark.parametrize("dtype", [U8, S8])
@pytest.mark.parametrize("op", ["Add", "Mul", "Concat", "Add relu"])
def test_qdq_binary(dtype: Any, op: str) -> None:
    g = Quantized()
    a, b = (g.dq(g.bytes_input(n, [1, 8, 5, 5], dtype), s, z, dtype) for n, s, z in (("x", 0.02, 3), ("y", 0.03, 40)))
    relu = op.endswith("relu")
    y = g.add(op.split()[0], a, b, **({"axis": 1} if op == "Concat" else {}))
    y = g.q(g.add("Relu", y) if relu else y, 0.05, (0 if dtype is U8 else -128) if relu else 20, dtype)
    model = g.byte_model(y, dtype)
    assert "QLinear" + op.split()[0] in forms(model)
    feeds = {"x": data(g, [1, 8, 5, 5], dtype), "y": data(g, [1, 8, 5, 5], dtype)}
    check(model, feeds, "qdq " + op.split()[0].lower())
