"""Attention that is one operator, of ONNX or of onnxruntime: which inputs and attributes are understood."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attention_writer import BATCH, CHANNELS, HEADS, LENGTH, WIDTH, Writer, attention, claim, reason
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
    assert op["unattended"] == np.finfo(np.float32).min
    assert (op["heads"], op["scale"], op["mask"]) == (
        HEADS,
        0.5,
        {None: "none", TensorProto.FLOAT: "added"}.get(mask, "keeps"),
    )


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


MASKS_OF_KEYS = {
    "lengths": ["batch"],
    "padding": ["batch", "sequence"],
    "padding of each query": ["batch", "sequence", "sequence"],
}


def with_key_mask(
    operator: str, mask: list[int | str] | np.ndarray[Any, Any], **attributes: float
) -> tuple[Writer, str]:
    g = Writer(static=isinstance(mask, np.ndarray))
    if operator == "Attention":
        sides = [g.tokens("x"), g.weight((CHANNELS, 3 * CHANNELS), 0.5), g.constant(np.ones(3 * CHANNELS))]
    else:
        sides = [*(g.tokens(name) for name in "qkv"), ""]
    constant = isinstance(mask, np.ndarray)
    name = g.constant(mask, np.int32) if constant else g.input("mask", mask, TensorProto.INT32)
    return g, g.add(operator, *sides, name, domain="com.microsoft", num_heads=HEADS, **attributes)


@pytest.mark.parametrize("kind", MASKS_OF_KEYS)
@pytest.mark.parametrize("operator", ["Attention", "MultiHeadAttention"])
def test_mask_of_keys(operator: str, kind: str) -> None:
    op = attention(*with_key_mask(operator, MASKS_OF_KEYS[kind]))
    assert (op["mask"], op["masked"]) == (kind.split()[0], -10000)
    assert attention(*with_key_mask(operator, MASKS_OF_KEYS[kind], mask_filter_value=-5.0))["masked"] == -5


@pytest.mark.parametrize(
    "shape", [["other"], [16], ["batch", "other"], ["batch", 1], [1, "sequence"], ["batch", 1, "sequence", "sequence"]]
)
@pytest.mark.parametrize("operator", ["Attention", "MultiHeadAttention"])
def test_mask_of_keys_that_may_not_fit(operator: str, shape: list[int | str]) -> None:
    assert "is not known to be [batch], [batch, keys] or" in reason(*with_key_mask(operator, shape))


@pytest.mark.parametrize("operator", ["Attention", "MultiHeadAttention"])
def test_constant_mask_of_keys(operator: str) -> None:
    ones = np.ones((BATCH, LENGTH))
    assert attention(*with_key_mask(operator, ones))["mask"] == "none"
    assert attention(*with_key_mask(operator, np.full(BATCH, LENGTH)))["mask"] == "none"
    ones[0, 0] = 0
    assert "is a constant" in reason(*with_key_mask(operator, ones))
    assert "is a constant" in reason(*with_key_mask(operator, np.full(BATCH, LENGTH - 1)))


def test_masks_of_keys_and_of_scores_together() -> None:
    g = Writer(static=False)
    inputs = [*(g.tokens(name) for name in "qkv"), "", g.input("lengths", ["batch"], TensorProto.INT32)]
    inputs.append(g.input("mask", ["batch", HEADS, "sequence", "sequence"]))
    y = g.add("MultiHeadAttention", *inputs, domain="com.microsoft", num_heads=HEADS)
    assert "together" in reason(g, y)


@pytest.mark.parametrize("operator", ["Attention", "MultiHeadAttention"])
def test_shape_of_an_operator_that_is_left_alone(operator: str) -> None:
    """What adds its result to a residual is not left alone with it."""
    g, y = with_key_mask(operator, MASKS_OF_KEYS["padding"], unidirectional=1)
    vectors = [g.constant(np.ones(CHANNELS)) for _ in range(2)]
    residual = "x" if operator == "Attention" else "q"
    y = g.add("SkipLayerNormalization", residual, y, *vectors, domain="com.microsoft")
    kinds = [[op["kind"] for op in node["ops"]] for node in claim.recognise(g.describe(y))]
    assert kinds == [[], ["binary", "layer_norm"]]
