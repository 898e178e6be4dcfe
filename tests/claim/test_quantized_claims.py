"""Which quantized layers are claimed, units as a whole, and the reasons of those that are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sparsecpu_testing as claim
from describe import basic, describe
from onnx import TensorProto
from quantized_models import S8, U8, Quantized


def pruned_network(form: str, sparsity: float, dtype: Any = U8) -> dict[str, Any]:
    """A chain of convolutions at 28x28 in one of onnxruntime's forms."""
    g = Quantized()
    y = g.bytes_input("x", [1, 64, 28, 28], dtype)
    for _ in range(4):
        w = g.random.integers(-100, 100, (64, 64, 3, 3))
        w[g.random.random(w.shape) < sparsity] = 0
        parameters = (*g.parameters(0.02, 3, dtype), g.constant(w, S8), *g.parameters(0.01, 0, S8))
        if form == "qdq":
            conv = g.add("Conv", g.dq(y, 0.02, 3, dtype), g.dq(parameters[2], 0.01, 0, S8), pads=[1] * 4)
            y = g.q(conv, 0.1, 3, dtype)
        else:
            y = g.add("QLinearConv", y, *parameters, *g.parameters(0.1, 3, dtype), pads=[1] * 4)
    return basic(g.byte_model(y, dtype))


@pytest.mark.parametrize("form", ["qdq", "qlinear"])
@pytest.mark.parametrize("isa", [0, 1, 2, 3])
def test_claims_follow_the_groups_of_four(form: str, isa: int) -> None:
    description = pruned_network(form, 0.95)
    result = claim.claim(description, isa=isa)
    assert [len(r) for r in result["regions"]] == ([len(description["nodes"])] if isa else [])
    layer = next(d for d in result["decisions"] if d["sparsity"] >= 0)
    assert layer["sparsity"] == pytest.approx(0.95, abs=0.01)
    assert layer["group_density"] == pytest.approx(1 - 0.95**4, abs=0.01)
    for sparsity in (0.0, 0.3):
        dense = claim.claim(pruned_network(form, sparsity), isa=isa)
        assert dense["regions"] == []
        assert any("groups of 4 input channels" in d["reason"] for d in dense["decisions"])


# For products of signed bytes the CPU provider has a fast kernel with these instructions only.
SIGNED_ARE_SLOW = "avx_vnni_int8" not in Path("/proc/cpuinfo").read_text()


def product(op: str, x_type: Any, w_type: Any = S8) -> dict[str, Any]:
    """A dense layer of an operator that the CPU provider computes in integers."""
    g = Quantized()
    zero = 128 if w_type is U8 else 0

    def dense(shape: tuple[int, ...], dtype: Any) -> str:
        return g.constant(g.random.integers(1, 100, shape) + zero, dtype)

    if op == "DynamicQuantizeLinear":
        x = g.add(op, g.input("x", [1, 64, 28, 28]), outputs=3)
        scale, offset = (x.removesuffix("_0") + suffix for suffix in ("_1", "_2"))
        conv = g.add("ConvInteger", x, dense((64, 64, 3, 3), w_type), offset, pads=[1] * 4)
        scales = g.add("Mul", scale, g.constant(np.float32(0.01)))
        return basic(g.byte_model(g.add("Mul", g.add("Cast", conv, to=1), scales), None))
    numbers = (*g.parameters(0.01, zero, w_type), *g.parameters(0.5, 3, x_type))
    is_conv = op == "QLinearConv"
    x = g.bytes_input("x", [1, 64, 28, 28] if is_conv else [128, 256], x_type)
    weights = dense((64, 64, 3, 3) if is_conv else (256, 256), w_type)
    inputs = (x, *g.parameters(0.02, 3, x_type), weights, *numbers)
    if op == "QGemm":
        inputs = (*inputs[:6], "", *inputs[6:])
    elsewhere = {"domain": "com.microsoft"} if op == "QGemm" else {}
    return basic(g.byte_model(g.add(op, *inputs, **({"pads": [1] * 4} if is_conv else elsewhere)), x_type))


@pytest.mark.parametrize("isa", [1, 2, 3])
@pytest.mark.parametrize("op", ["QLinearConv", "QLinearMatMul", "QGemm"])
def test_dense_products_of_signed_bytes_are_claimed(op: str, isa: int) -> None:
    """They are slow on the CPU provider, those of unsigned bytes are not."""
    result = claim.claim(product(op, S8), isa=isa)
    assert [len(r) for r in result["regions"]] == ([1] if SIGNED_ARE_SLOW else [])
    if SIGNED_ARE_SLOW:
        assert "products of signed bytes, slow on the CPU provider" in result["decisions"][0]["reason"]
    for w_type in (S8, U8):
        assert claim.claim(product(op, U8, w_type), isa=isa)["regions"] == []


@pytest.mark.parametrize("isa", [1, 2, 3])
def test_dense_integer_convolutions_are_claimed(isa: int) -> None:
    result = claim.claim(product("DynamicQuantizeLinear", U8), isa=isa)
    assert len(result["regions"]) == 1
    assert any("ConvInteger, slow on the CPU provider" in d["reason"] for d in result["decisions"])


def test_units_are_taken_whole() -> None:
    description = pruned_network("qdq", 0.95)
    for other in range(len(description["nodes"])):
        for node in description["nodes"]:
            node["assigned_elsewhere"] = False
        description["nodes"][other]["assigned_elsewhere"] = True
        result = claim.claim(description, isa=3)
        region = [d["region"] for d in result["decisions"]]
        for unit in {n["unit"] for n in claim.recognise(description)} - {-1}:
            members = [i for i, n in enumerate(claim.recognise(description)) if n["unit"] == unit]
            assert len({region[i] for i in members}) == 1
        assert region[other] == -1
        following = [[j for j, n in enumerate(description["nodes"]) if set(m["outputs"]) & set(n["inputs"])]
                     for m in description["nodes"]]  # fmt: skip
        assert claim.contraction_is_acyclic(following, region)


def reason(g: Quantized, output: str, dtype: Any | None = U8) -> str:
    nodes = claim.recognise(describe(g.byte_model(output, dtype)))
    return next(n["reason"] for n in nodes if n["reason"] and "of a constant" not in n["reason"])


def test_reasons() -> None:
    def matmul(weight: str, **dq: Any) -> str:
        x = g.dq(g.bytes_input("x", [5, 8]), 0.02, 3)
        return g.q(g.add("MatMul", x, g.dq(weight, **{"scale": 0.01, "zero": 0, "dtype": S8, **dq})))

    g = Quantized()
    assert "are not constant" in reason(g, matmul(g.bytes_input("w", [8, 6], S8)))
    g = Quantized()
    far = g.constant(np.full((8, 6), 255), U8)
    assert "minus their zero points reach 255" in reason(g, matmul(far, dtype=U8))
    g = Quantized()
    assert "not per output channel" in reason(
        g, matmul(g.weights((8, 6)), scale=np.full(6, 0.1), zero=np.zeros(6), axis=0)
    )
    g = Quantized()
    weights = g.dq(g.weights((8, 6)), 0.01, 0, S8)
    assert "are dequantized in every run" in reason(g, g.add("MatMul", g.input("x", [5, 8]), weights), None)
    g = Quantized()
    y = g.q(g.dq(g.input("x", [5, 8], TensorProto.UINT16), 0.1, 0, np.uint16))
    assert "uint16" in reason(g, y)
    g = Quantized()
    x = g.add("MatMulNBits", g.input("x", [5, 8]), g.constant(np.zeros((6, 1, 8)), U8), g.constant(np.ones(6)),
              domain="com.microsoft", K=8, N=6, bits=4, block_size=16)  # fmt: skip
    assert "fewer than 8 bits" in reason(g, x)
    g = Quantized()
    x = g.add("QuantizeLinear", g.input("x", [5, 8]), g.input("scale", []), g.constant(0, U8))
    assert "computed at run time" in reason(g, x)
