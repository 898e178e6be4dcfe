"""Attention on bytes: the forms that quantizers make of the exports, and what becomes of the nodes between products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sparsecpu_testing as claim
from describe import Network
from hypothesis import given, settings
from hypothesis import strategies as st
from random_checks import examples

HEADS, WIDTH, BATCH, LENGTH = 4, 8, 2, 6
CHANNELS = HEADS * WIDTH
Q = tuple[float, int]  # scale, zero point of u8


class Writer(Network):
    """Heads of tokens, and operators on bytes as onnxruntime.quantization writes them in either form."""

    def __init__(self, operators: bool) -> None:
        super().__init__(opset=17)
        self.operators = operators

    def parameters(self, q: Q) -> tuple[str, str]:
        return self.constant(np.float32(q[0]), np.float32), self.constant(np.uint8(q[1]), np.uint8)

    def quantize(self, x: str, q: Q) -> str:
        return self.add("QuantizeLinear", x, *self.parameters(q))

    def dequantize(self, x: str, q: Q) -> str:
        return self.add("DequantizeLinear", x, *self.parameters(q))

    def product(self, a: str, qa: Q, b: str, qb: Q, qy: Q) -> str:
        """Bytes of a product of bytes."""
        if self.operators:
            return self.add("QLinearMatMul", a, *self.parameters(qa), b, *self.parameters(qb), *self.parameters(qy))
        return self.quantize(self.add("MatMul", self.dequantize(a, qa), self.dequantize(b, qb)), qy)

    def scaled(self, x: str, q: Q, number: float, qy: Q) -> str:
        """Bytes times a number that is bytes, too."""
        byte, qn = self.constant(np.uint8(255), np.uint8), (number / 255, 0)
        if self.operators:
            quantized = (x, *self.parameters(q), byte, *self.parameters(qn), *self.parameters(qy))
            return self.add("QLinearMul", *quantized, domain="com.microsoft")
        return self.quantize(self.add("Mul", self.dequantize(x, q), self.dequantize(byte, qn)), qy)

    def sum(self, a: str, qa: Q, b: str, qb: Q, qy: Q) -> str:
        if self.operators:
            quantized = (a, *self.parameters(qa), b, *self.parameters(qb), *self.parameters(qy))
            return self.add("QLinearAdd", *quantized, domain="com.microsoft")
        return self.quantize(self.add("Add", self.dequantize(a, qa), self.dequantize(b, qb)), qy)

    def softmax(self, x: str, qx: Q, qy: Q) -> str:
        if self.operators:
            quantized = (x, *self.parameters(qx), *self.parameters(qy))
            return self.add("QLinearSoftmax", *quantized, domain="com.microsoft", axis=-1, opset=17)
        return self.quantize(self.add("Softmax", self.dequantize(x, qx), axis=-1), qy)

    def split(self, x: str, perm: tuple[int, ...] = (0, 2, 1, 3)) -> str:
        parted = self.add("Reshape", x, self.constant([BATCH, LENGTH, HEADS, WIDTH], np.int64))
        return self.add("Transpose", parted, perm=list(perm))

    def join(self, y: str) -> str:
        turned = self.add("Transpose", y, perm=[0, 2, 1, 3])
        return self.add("Reshape", turned, self.constant([BATCH, LENGTH, CHANNELS], np.int64))


QUERIES, KEYS, VALUES, SCORES, WEIGHTS, OUTPUT = (
    (0.02, 120),
    (0.03, 131),
    (0.04, 7),
    (0.1, 90),
    (1 / 250, 0),
    (0.05, 99),
)
KEYS_TURNED = (0, 2, 3, 1)


def attend(g: Writer, queries: str, keys: str, values: str) -> str:
    """Joined heads, as floats, of bytes."""
    scores = g.dequantize(g.product(queries, QUERIES, keys, KEYS, SCORES), SCORES)
    weights = g.quantize(g.add("Softmax", scores, axis=-1), WEIGHTS)
    return g.join(g.dequantize(g.product(weights, WEIGHTS, values, VALUES, OUTPUT), OUTPUT))


def recognised(g: Writer, output: str) -> list[dict[str, Any]]:
    """The Ops of the last node, which stand for all of the attention."""
    nodes = claim.recognise(g.describe(output))
    assert any(op["kind"] == "quantized_attention" for op in nodes[-1]["ops"]), [node["reason"] for node in nodes]
    ops: list[dict[str, Any]] = nodes[-1]["ops"]
    return ops


def approximately(q: Q) -> tuple[Any, int, bool]:
    return pytest.approx(q[0]), q[1], False


@settings(max_examples=examples(100), deadline=None)
@given(operators=st.booleans(), scale=st.sampled_from([None, "Mul", "Div"]), first=st.booleans())
def test_floats_that_are_scaled_and_quantized_behind_their_heads(
    operators: bool, scale: str | None, first: bool
) -> None:
    """As torch's scaled_dot_product_attention is exported; `first`: the heads are split before the scale."""
    g = Writer(operators)
    q, k, v = (g.input(name, [BATCH, LENGTH, CHANNELS]) for name in "qkv")

    def side(x: str, perm: tuple[int, ...], quantization: Q, scaled: bool) -> str:
        x = g.split(x, perm) if first else x
        x = g.add(scale, x, g.constant(0.5)) if scale and scaled else x
        x = x if first else g.split(x, perm)
        return g.quantize(x, quantization)

    sides = side(q, (0, 2, 1, 3), QUERIES, True), side(k, KEYS_TURNED, KEYS, True), side(v, (0, 2, 1, 3), VALUES, False)
    ops = recognised(g, attend(g, *sides))
    inside = [op["kind"] for op in ops if op["kind"] != "quantized_attention"]
    scales = ["affine"] if scale and first else []
    assert inside == [*scales, "quantize", *scales, "quantize", "quantize", "dequantize"]
    assert [op["y"] for op in ops if op["kind"] == "quantize"] == [approximately(q) for q in (QUERIES, KEYS, VALUES)]
    factors = [op["scale"] for op in ops if op["kind"] == "affine"]
    assert factors == [[0.5 if scale == "Mul" else 2.0]] * len(factors)
    (attention,) = (op for op in ops if op["kind"] == "quantized_attention")
    assert (attention["heads"], attention["scale"]) == (HEADS, 1.0)


def table(x: Q, y: Q, number: float, exact: bool) -> bytes:
    """Bytes times a number: between rounded floats (`exact`: one product), or as QLinearMul does it."""
    f = np.float32
    bytes_ = np.arange(256) - x[1]
    if exact:
        rounded = np.rint(f(bytes_) * f(x[0]) * f(number) / f(y[0])) + y[1]
    else:
        factor = f(f(x[0]) * f(number / 255)) / f(y[0])
        rounded = np.rint((bytes_ * 255).astype(f) * factor + f(y[1]))
    return np.clip(rounded, 0, 255).astype(np.uint8).tobytes()


@settings(max_examples=examples(100), deadline=None)
@given(operators=st.booleans(), between_floats=st.booleans())
def test_bytes_that_are_scaled_behind_their_heads(operators: bool, between_floats: bool) -> None:
    g = Writer(operators)
    source = 0.07, 128
    q, k, v = (g.quantize(g.input(name, [BATCH, LENGTH, CHANNELS]), source) for name in "qkv")

    def side(x: str, perm: tuple[int, ...], y: Q) -> str:
        if between_floats:
            return g.quantize(g.add("Mul", g.split(g.dequantize(x, source), perm), g.constant(0.5)), y)
        return g.scaled(g.split(x, perm), source, 0.5, y)

    values = g.quantize(g.dequantize(g.split(v), source), VALUES)
    ops = recognised(g, attend(g, side(q, (0, 2, 1, 3), QUERIES), side(k, KEYS_TURNED, KEYS), values))
    tables = [op["table"] for op in ops if op["kind"] == "lookup"]
    assert tables[:2] == [table(source, y, 0.5, between_floats) for y in (QUERIES, KEYS)]
    assert tables[2] == table(source, VALUES, 1.0, True)


def test_bytes_that_pass_through_floats_unchanged() -> None:
    g = Writer(operators=True)
    q, k, v = (
        g.quantize(g.input(name, [BATCH, LENGTH, CHANNELS]), y)
        for name, y in zip("qkv", (QUERIES, KEYS, VALUES), strict=True)
    )
    sides = [
        g.quantize(g.split(g.dequantize(x, y), perm), y)
        for x, y, perm in ((q, QUERIES, (0, 2, 1, 3)), (k, KEYS, KEYS_TURNED), (v, VALUES, (0, 2, 1, 3)))
    ]
    assert [op["kind"] for op in recognised(g, attend(g, *sides))] == ["quantized_attention", "dequantize"]


def test_shapes_of_bytes_through_a_dequantizer_of_their_own() -> None:
    """onnxruntime gives every consumer its own DequantizeLinear, also one that only asks for the shape."""
    g = Writer(operators=True)
    sides = [
        g.quantize(g.split(g.input(name, [BATCH, LENGTH, CHANNELS]), perm), y)
        for name, perm, y in (("q", (0, 2, 1, 3), QUERIES), ("k", KEYS_TURNED, KEYS), ("v", (0, 2, 1, 3), VALUES))
    ]
    scores = g.dequantize(g.product(sides[0], QUERIES, sides[1], KEYS, SCORES), SCORES)
    y = g.product(g.quantize(g.add("Softmax", scores, axis=-1), WEIGHTS), WEIGHTS, sides[2], VALUES, OUTPUT)
    turned = g.add("Transpose", g.dequantize(y, OUTPUT), perm=[0, 2, 1, 3])
    batch = g.add("Gather", g.add("Shape", g.dequantize(y, OUTPUT)), g.constant([0], np.int64), axis=0)
    target = g.add("Concat", batch, g.constant([LENGTH, CHANNELS], np.int64), axis=0)
    recognised(g, g.add("Reshape", turned, target))


def sides_of(g: Writer) -> list[str]:
    """Queries, keys and values as bytes."""
    turns = ("q", (0, 2, 1, 3), QUERIES), ("k", KEYS_TURNED, KEYS), ("v", (0, 2, 1, 3), VALUES)
    return [g.quantize(g.split(g.input(name, [BATCH, LENGTH, CHANNELS]), perm), y) for name, perm, y in turns]


@settings(max_examples=examples(100), deadline=None)
@given(operators=st.booleans(), scaled=st.booleans(), guard=st.sampled_from([None, "one", "two"]))
def test_a_softmax_of_bytes(operators: bool, scaled: bool, guard: str | None) -> None:
    """QLinearSoftmax, or what onnxruntime makes one of; guard: torch's, with a DequantizeLinear for each of its uses."""
    g = Writer(operators)
    queries, keys, values = sides_of(g)
    scores, x = g.product(queries, QUERIES, keys, KEYS, SCORES), SCORES
    if scaled:
        scores, x = g.scaled(scores, SCORES, 0.125, (0.02, 90)), (0.02, 90)
    made = (1 / 256, 0) if guard else WEIGHTS
    weights = g.softmax(scores, x, made)
    if guard:
        parameters = g.parameters(made)
        first = g.add("DequantizeLinear", weights, *parameters)
        second = first if guard == "one" else g.add("DequantizeLinear", weights, *parameters)
        weights = g.quantize(g.add("Where", g.add("IsNaN", first), g.constant(0.0), second), WEIGHTS)
    y = g.join(g.dequantize(g.product(weights, WEIGHTS, values, VALUES, OUTPUT), OUTPUT))
    (attention,) = (op for op in recognised(g, y) if op["kind"] == "quantized_attention")
    softmax = attention["softmax"]
    assert (softmax["x"], softmax["y"]) == (approximately(x), approximately(made))
    assert softmax["before"] == (table(SCORES, x, 0.125, False) if scaled else None)
    assert softmax["after"] == (table(made, WEIGHTS, 1.0, True) if guard else None)


def test_a_softmax_of_scaled_floats_is_none_of_bytes() -> None:
    g = Writer(operators=True)
    queries, keys, values = sides_of(g)
    floats = g.dequantize(g.product(queries, QUERIES, keys, KEYS, SCORES), SCORES)
    weights = g.quantize(g.add("Softmax", g.add("Mul", floats, g.constant(0.5)), axis=-1), WEIGHTS)
    y = g.join(g.dequantize(g.product(weights, WEIGHTS, values, VALUES, OUTPUT), OUTPUT))
    (attention,) = (op for op in recognised(g, y) if op["kind"] == "quantized_attention")
    assert (attention["softmax"], attention["scale"]) == (None, 0.5)


MASK, MASKED = (0.9, 255), (0.12, 100)


def masked(g: Writer, mask: str, first: bool) -> str:
    """Attention whose scores are bytes that are added to a mask of bytes."""
    queries, keys, values = sides_of(g)
    scores = g.product(queries, QUERIES, keys, KEYS, SCORES)
    sides = (mask, MASK, scores, SCORES) if first else (scores, SCORES, mask, MASK)
    weights = g.softmax(g.sum(*sides, MASKED), MASKED, WEIGHTS)
    return g.join(g.dequantize(g.product(weights, WEIGHTS, values, VALUES, OUTPUT), OUTPUT))


@settings(max_examples=examples(100), deadline=None)
@given(operators=st.booleans(), first=st.booleans(), shape=st.sampled_from([[BATCH, 1, 1, LENGTH], [LENGTH, LENGTH]]))
def test_a_mask_of_bytes(operators: bool, first: bool, shape: list[int | str | None]) -> None:
    g = Writer(operators)
    y = masked(g, g.quantize(g.input("mask", shape), MASK), first)
    (attention,) = (op for op in recognised(g, y) if op["kind"] == "quantized_attention")
    softmax = attention["softmax"]
    assert (softmax["adds_mask"], softmax["mask_first"], softmax["x"]) == (True, first, approximately(MASKED))
    assert (attention["mask"], len(attention["inputs"])) == ("added", 4)


@settings(max_examples=examples(100), deadline=None)
@given(operators=st.booleans(), byte=st.integers(0, 255))
def test_a_constant_mask_of_one_byte(operators: bool, byte: int) -> None:
    g = Writer(operators)
    y = masked(g, g.constant(np.full((1, 1, LENGTH, LENGTH), byte), np.uint8), False)
    (attention,) = (op for op in recognised(g, y) if op["kind"] == "quantized_attention")
    f = np.float32
    ratio, mask_ratio = f(SCORES[0]) / f(MASKED[0]), f(MASK[0]) / f(MASKED[0])
    numbers = np.arange(256) - SCORES[1]
    sums = np.rint(numbers * float(ratio) + (byte - MASK[1]) * float(mask_ratio)) + MASKED[1]
    made = np.frombuffer(attention["softmax"]["before"], np.uint8).astype(int)
    assert np.abs(made - np.clip(sums, 0, 255)).max() <= 1  # ties aside, as QLinearAdd
    assert (attention["mask"], attention["softmax"]["adds_mask"]) == ("none", False)


def test_a_constant_mask_of_different_bytes_is_left_alone() -> None:
    g = Writer(operators=True)
    y = masked(g, g.constant(np.arange(LENGTH * LENGTH).reshape(LENGTH, LENGTH), np.uint8), False)
    reasons = [node["reason"] for node in claim.recognise(g.describe(y))]
    assert "its mask is a constant of different bytes" in reasons


@pytest.mark.parametrize(
    ("scale", "reason"),
    [(np.inf, "is not a positive number"), (0.1, "it is not the softmax between the products of attention")],
)
def test_why_a_softmax_of_bytes_stays_outside(scale: float, reason: str) -> None:
    """torch's masks of minus infinity, calibrated, have an infinite scale."""
    g = Writer(operators=True)
    x = g.quantize(g.input("x", [BATCH, LENGTH]), (0.1, 0))
    nodes = claim.recognise(g.describe(g.dequantize(g.softmax(x, (scale, 0), WEIGHTS), WEIGHTS)))
    assert any(str(node["reason"]).endswith(reason) for node in nodes)
