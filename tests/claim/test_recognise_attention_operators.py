"""Attention that is one operator, of ONNX or of onnxruntime: which inputs and attributes are understood."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attention_writer import CHANNELS, HEADS, WIDTH, Writer, attention, claim, reason
from onnx import TensorProto


@pytest.mark.parametrize("rank", [3, 4])
@pytest.mark.parametrize("mask", [None, TensorProto.FLOAT, TensorProto.BOOL])
def test_onnx_attention(rank: int, mask: int | None) -> None:
    g = Writer(static=False, opset=23)
    q, k, v = (g.tokens(name) for name in "qkv")
    inputs = [g.split(x) for x in (q, k, v)] if rank == 4 else [q, k, v]
    if mask is not None:
        inputs.append(g.input("mask", [1, 1, "sequence", "sequence"], mask))
    heads = {} if rank == 4 else {"q_num_heads": HEADS, "kv_num_heads": HEADS}
    y = g.add("Attention", *inputs, scale=0.5, **heads)
    op = attention(g, g.join(y, q) if rank == 4 else y)
    assert (op["heads"], op["scale"], op["has_mask"]) == (HEADS, 0.5, mask is not None)


@pytest.mark.parametrize("attributes", [{"is_causal": 1}, {"softcap": 5.0}, {"kv_num_heads": 2}])
def test_onnx_attention_declined(attributes: dict[str, Any]) -> None:
    g = Writer(opset=23)
    sides = [g.tokens(name) for name in "qkv"]
    assert reason(g, g.add("Attention", *sides, **({"q_num_heads": HEADS, "kv_num_heads": HEADS} | attributes)))


def test_microsoft_attention() -> None:
    g = Writer(static=False)
    weight, bias = g.weight((CHANNELS, 3 * CHANNELS), 0.5), g.constant(np.ones(3 * CHANNELS))
    y = g.add("Attention", g.tokens("x"), weight, bias, domain="com.microsoft", num_heads=HEADS)
    kinds = [op["kind"] for op in claim.recognise(g.describe(y))[-1]["ops"]]
    assert kinds == ["linear", "split", "split", "split", "attention"]
    assert attention(g, y)["scale"] == pytest.approx(WIDTH**-0.5)


@pytest.mark.parametrize("bias", [False, True])
def test_microsoft_multi_head_attention(bias: bool) -> None:
    g = Writer(static=False)
    inputs = [g.tokens(name) for name in "qkv"]
    inputs.append(g.constant(np.ones(3 * CHANNELS)) if bias else "")
    inputs += ["", g.input("mask", ["batch", 1, "sequence", "sequence"])]
    y = g.add("MultiHeadAttention", *inputs, domain="com.microsoft", num_heads=HEADS, scale=0.25)
    kinds = [op["kind"] for op in claim.recognise(g.describe(y))[-1]["ops"]]
    assert kinds == ["affine"] * (3 * bias) + ["attention"]


def test_a_mask_by_length_is_declined() -> None:
    g = Writer(static=False)
    inputs = [*(g.tokens(name) for name in "qkv"), "", g.input("lengths", ["batch"], TensorProto.INT32)]
    y = g.add("MultiHeadAttention", *inputs, domain="com.microsoft", num_heads=HEADS)
    assert "by length" in reason(g, y)
